//! Prefetching memory, requesting large pages, and returning free memory to the system.

/// Size of a cache line in octets.
const LINE: usize = 64;

/// Prefetches the first cache lines of `octets` (at most four). It neither blocks nor changes
/// anything. On processors other than x86-64 it may do nothing.
#[inline]
pub fn prefetch(octets: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in octets.chunks(LINE).take(4) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64. The instruction loads no register and faults on no
        // address, and this address is valid.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (octets, LINE);
}

/// Size of a large page in octets.
pub const LARGE_PAGE: usize = 2 << 20;

/// Requests large pages for `octets`, as far as they cover whole ones. This helps tables with
/// scattered reads, where finding the page costs more than reading it. If the system refuses,
/// nothing changes.
pub fn want_large_pages(octets: &mut [u8]) {
    let start = octets.as_ptr().align_offset(LARGE_PAGE);
    let Some(inner) = octets.get_mut(start..) else { return };
    // SAFETY: the range is page-aligned and lies inside memory that is borrowed here for writing.
    // The advice changes no contents.
    unsafe {
        libc::madvise(inner.as_mut_ptr().cast(), inner.len() / LARGE_PAGE * LARGE_PAGE, libc::MADV_HUGEPAGE);
    }
}

/// Returns freed memory to the system. The C library would otherwise keep it, because it lies
/// between pieces that are in use.
pub fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call accepts any number and any thread at any time, and touches only memory that
    // is free.
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
