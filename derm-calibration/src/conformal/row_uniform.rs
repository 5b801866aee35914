use derm_core::sha256_hex;

/// Bits of the hash that become a number: what a double resolves below 1.
const BITS: u32 = 52;

/// One number in [0, 1) for each id, uniform over ids: the leading 52 bits of the SHA-256 of seed, purpose and id.
///
/// It depends on nothing but its arguments, so a row keeps its number in another batch, in another order and in
/// another program.
///
/// ```
/// use derm_calibration::row_uniforms;
/// let ids = ["image_1".to_owned(), "image_2".to_owned()];
/// let uniforms = row_uniforms(7, "set", &ids);
/// assert!(uniforms.iter().all(|u| (0.0..1.0).contains(u)) && uniforms[0] != uniforms[1]);
/// assert_eq!(row_uniforms(7, "set", &ids[1..]), uniforms[1..]);
/// ```
pub fn row_uniforms(seed: u64, purpose: &str, ids: &[String]) -> Vec<f64> {
    let uniform = |id: &String| {
        let digest = sha256_hex(format!("{seed}\n{purpose}\n{id}").as_bytes());
        let leading = digest.chars().take(BITS as usize / 4).filter_map(|digit| digit.to_digit(16));
        leading.fold(0_u64, |bits, digit| bits * 16 + u64::from(digit)) as f64 / 2.0_f64.powi(BITS as i32)
    };
    ids.iter().map(uniform).collect()
}
