//! What a number was measured on.

use std::fs;

/// The processor's name, how many of its cores are online, and the kernel.
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: u64,
    pub(crate) kernel: String,
}

impl Machine {
    /// What the system says of itself; what it does not say is `unknown` or 0.
    pub(crate) fn here() -> Machine {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // ARM names no model.
        let cpu = field(&info, "model name").unwrap_or("unknown").to_owned();
        let cores = info.lines().filter(|line| line.starts_with("processor")).count() as u64;
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        Machine { cpu, cores, kernel }
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let line = info.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

/// The commit that this program was built from: `CORESWARM_COMMIT` at build time.
pub(crate) fn commit() -> &'static str {
    option_env!("CORESWARM_COMMIT").unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_a_kernel() {
        let machine = Machine::here();
        assert!(machine.cores > 0 && machine.kernel.contains('.'));
        assert_eq!(
            field("processor\t: 0\nmodel name\t: Fast One\n", "model name"),
            Some("Fast One")
        );
    }
}
