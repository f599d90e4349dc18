#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    postern_fuzz::run("tsig_message", octets);
});
