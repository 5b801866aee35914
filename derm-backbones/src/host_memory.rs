use burn::tensor::Device;

/// Whether a device computes in the host's memory: it reports no pool of its own. What pays there, strided views
/// and small working sets, does not on an accelerator.
pub(crate) fn computes_in_host_memory(device: &Device) -> bool {
    device.memory_pool_usage().is_none() && !records(device)
}

/// Whether a device computes nothing and writes down what another runtime is to compute.
#[cfg(feature = "capture")]
pub(crate) fn records(device: &Device) -> bool {
    matches!(device.as_dispatch(), burn::backend::DispatchDevice::Capture(_))
}

#[cfg(not(feature = "capture"))]
pub(crate) fn records(_device: &Device) -> bool {
    false
}
