//! `temper` with libtorch linked in: the program that `temper` becomes where a command needs libtorch.

fn main() -> std::process::ExitCode {
    temper::cli::run()
}
