#[test]
fn p() {
    println!("{}", crate::sample());
}
