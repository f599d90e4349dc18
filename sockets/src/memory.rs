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

/// Octets of a large page.
pub const LARGE_PAGE: usize = 2 << 20;

/// Asks for large pages behind `octets`, as far as they lie on whole ones: for tables that are read here and there, where finding the page
/// costs more than reading it. Not granted, everything works as before.
pub fn want_large_pages(octets: &mut [u8]) {
    let start = octets.as_ptr().align_offset(LARGE_PAGE);
    let Some(inner) = octets.get_mut(start..) else { return };
    // SAFETY: the range is page-aligned and lies inside memory that is borrowed here for writing; the advice changes no contents.
    unsafe {
        libc::madvise(inner.as_mut_ptr().cast(), inner.len() / LARGE_PAGE * LARGE_PAGE, libc::MADV_HUGEPAGE);
    }
}

/// Gives memory that was freed back to the system. The C library keeps it otherwise, as the pieces lie between others that are in use.
pub fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes any number, may be called at any time from any thread, and touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pages_change_no_contents_wherever_the_memory_lies() {
        for (length, from) in [(0, 0), (1, 0), (4096, 7), (LARGE_PAGE, 1), (3 * LARGE_PAGE + 5, 64)] {
            let mut octets: Vec<u8> = (0..from + length).map(|place| place as u8).collect();
            want_large_pages(&mut octets[from..]);
            assert!(octets.iter().enumerate().all(|(place, octet)| *octet == place as u8), "{length} octets from {from}");
        }
    }
}
