//! Asking for memory before it is needed, and giving it back when it is not.

/// Octets of a cache line.
const LINE: usize = 64;

/// Starts to bring the first lines of `octets` (at most four) near. Waits for nothing and changes nothing; where the processor has no such
/// instruction that we know of, it does nothing.
#[inline]
pub fn prefetch(octets: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in octets.chunks(LINE).take(4) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64; the instruction reads nothing into registers and faults on no address, and this one is valid.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (octets, LINE);
}

/// Gives memory that was freed back to the system. The C library keeps it otherwise, as the pieces lie between others that are in use.
pub fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes any number, may be called at any time from any thread, and touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
