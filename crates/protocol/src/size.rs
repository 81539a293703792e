//! Sizes in bytes, as people read them.

/// `1.2 MiB`.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let fits = |unit: &usize| bytes >= 1 << (10 * (unit + 1));
    match (0..UNITS.len()).rev().find(fits) {
        None if bytes == 1 => "1 byte".to_owned(),
        None => format!("{bytes} bytes"),
        Some(unit) => {
            let tenths = (u128::from(bytes) * 10) >> (10 * (unit + 1));
            format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::human_size;

    #[test]
    fn a_size_has_the_largest_unit_that_fits_and_one_digit_behind_the_point() {
        let sizes = [0, 1, 1_023, 1_024, 1_310_720, (1 << 30) - 1, 1 << 30, u64::MAX];
        let texts = [
            "0 bytes",
            "1 byte",
            "1023 bytes",
            "1.0 KiB",
            "1.2 MiB",
            "1023.9 MiB",
            "1.0 GiB",
            "16777215.9 TiB",
        ];
        assert_eq!(sizes.map(human_size), texts.map(str::to_owned));
    }
}
