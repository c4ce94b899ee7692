/// A disk's capacity in bytes from its number and unit: `byte`, `byte * 2^30` (DSP0004, annex C),
/// or the names of OVF 0.9. `None` if the unit is not known or the product too large.
pub(super) fn bytes(number: &str, unit: Option<&str>) -> Option<u64> {
    let number: u64 = number.trim().parse().ok()?;
    number.checked_mul(factor(unit.unwrap_or("byte"))?)
}

fn factor(unit: &str) -> Option<u64> {
    let compact: String = unit.chars().filter(|letter| !letter.is_whitespace()).collect();
    match compact.to_ascii_lowercase().as_str() {
        "byte" | "bytes" => return Some(1),
        "kilobytes" => return Some(1 << 10),
        "megabytes" => return Some(1 << 20),
        "gigabytes" => return Some(1 << 30),
        _ => {}
    }
    let (base, exponent) = compact.strip_prefix("byte*")?.split_once('^')?;
    base.parse::<u64>().ok()?.checked_pow(exponent.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn every_spelling_of_a_unit_is_known() {
        for (number, unit, expected) in [
            ("10", None, Some(10)),
            ("10", Some("byte"), Some(10)),
            ("10", Some("byte * 2^30"), Some(10 << 30)),
            ("10", Some("byte*2^20"), Some(10 << 20)),
            ("1", Some("byte * 10^9"), Some(1_000_000_000)),
            ("3", Some("GigaBytes"), Some(3 << 30)),
            ("3", Some("furlong"), None),
            ("9999999999", Some("byte * 2^60"), None),
            ("1", Some("byte * 2^999"), None),
            ("${size}", Some("byte"), None),
        ] {
            assert_eq!(bytes(number, unit), expected, "{number} {unit:?}");
        }
    }
}
