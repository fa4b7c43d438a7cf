//! The NVIDIA GPUs of this machine, as the driver's own tool lists them.

use std::process::{Command, Stdio};

use serde::Serialize;

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its name, as in "NVIDIA H100 80GB HBM3".
    pub name: String,
    /// Its memory, as in "81559 MiB".
    pub memory: String,
    /// The version of the driver.
    pub driver: String,
}

/// What `nvidia-smi` lists; nothing where there is no driver.
pub fn gpus() -> Vec<Gpu> {
    let query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"];
    let output = Command::new("nvidia-smi").args(query).stdin(Stdio::null()).stderr(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => parsed(&String::from_utf8_lossy(&output.stdout)),
        _ => Vec::new(),
    }
}

fn parsed(table: &str) -> Vec<Gpu> {
    let gpu = |line: &str| {
        let mut cells = line.split(", ").map(str::to_owned);
        Some(Gpu { name: cells.next()?, memory: cells.next()?, driver: cells.next()? })
    };
    table.lines().filter_map(gpu).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_gpu() {
        let gpus = parsed("NVIDIA H100 80GB HBM3, 81559 MiB, 580.95.05\nNo devices were found\n");
        let gpu = Gpu {
            name: "NVIDIA H100 80GB HBM3".into(),
            memory: "81559 MiB".into(),
            driver: "580.95.05".into(),
        };
        assert_eq!(gpus, [gpu]);
    }
}
