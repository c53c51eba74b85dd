//! Giving memory back to the operating system.

/// Asks the allocator to return what it holds and nobody uses. Where it has no such call, this does nothing.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes the allocator's own locks and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
