//! The `temper` command: everything it does is in [`temper::cli`].

fn main() -> std::process::ExitCode {
    temper::cli::run()
}
