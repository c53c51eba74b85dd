//! Giving memory back to the operating system.

/// Asks the allocator to return every large piece of memory as soon as it is freed, and not to learn from it that
/// such pieces are common: it would keep them then, in a heap that shrinks at its end only.
pub fn return_large() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes the allocator's own locks; a refusal changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Bytes of a large piece.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 256 * 1024;

/// Says that these bytes are not needed for a while: those of a mapped file leave memory and come back from the file
/// when they are touched. Where the system knows no such thing, or they are no file's, they stay.
pub fn page_out(bytes: &[u8]) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let start = (bytes.as_ptr() as usize).next_multiple_of(PAGE);
        let end = (bytes.as_ptr() as usize + bytes.len()) / PAGE * PAGE;
        if start < end {
            // SAFETY: the pages lie within the bytes, and the advice changes no byte of them.
            unsafe {
                libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_PAGEOUT);
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

/// Asks the allocator to return what it holds and nobody uses. Where it has no such call, this does nothing.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes the allocator's own locks and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
