//! How much memory a training took.

use std::fs;

use burn::tensor::Device;

/// Largest resident memory of this process so far, in bytes; none where the system does not say (it does on Linux).
pub(crate) fn peak_process_memory() -> Option<u64> {
    high_water_mark(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Bytes that the device's memory pool holds. A pool keeps what was freed for later, so that it is as large as the
/// largest need so far; none on a device without pools, whose memory is the process's.
pub(crate) fn reserved_device_memory(device: &Device) -> Option<u64> {
    device.memory_pool_usage().map(|usage| usage.bytes_reserved)
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// `VmHWM` in the text of `/proc/self/status`, in bytes.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::high_water_mark;

    #[test]
    fn the_system_file_is_read_as_it_is_written() {
        let status = "Name:\tevaluate\nVmPeak:\t  999 kB\nVmHWM:\t  5120 kB\nVmRSS:\t 12 kB\n";
        assert_eq!(high_water_mark(status), Some(5120 * 1024));
        assert_eq!(high_water_mark("Name:\tevaluate\n"), None);
        assert_eq!(high_water_mark("VmHWM:\t many kB\n"), None);
    }
}
