//! Numbers as the formats write them: ASCII decimal in its only spelling.

/// Reads a number without sign and without leading zeros.
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
mod tests {
    use super::parse_decimal;

    #[test]
    fn a_number_has_one_spelling() {
        let max = u64::MAX.to_string();
        for (text, number) in [("0", 0), ("7", 7), ("10", 10), (max.as_str(), u64::MAX)] {
            assert_eq!(parse_decimal(text), Some(number));
        }
        for bad in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "0x1",
            "１",
            "18446744073709551616",
        ] {
            assert_eq!(parse_decimal(bad), None, "{bad:?}");
        }
    }
}
