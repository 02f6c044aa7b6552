//! Sizes as people write them: `512MiB`, `2G`.

/// Reads a size. Powers of 1024, with or without `iB` or `B`: what disks of builders are counted in.
pub fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "K" | "KB" | "KiB" => 10,
        "M" | "MB" | "MiB" => 20,
        "G" | "GB" | "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Shows a size with one decimal where it helps.
#[must_use]
pub fn show(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        let whole = bytes >> shift;
        if whole > 0 {
            // Tenths of the unit; whole numbers and three digits need none.
            let tenths = ((bytes - (whole << shift)) * 10) >> shift;
            return if tenths == 0 || whole >= 100 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{tenths} {unit}")
            };
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [("512MiB", 512 << 20), ("2G", 2 << 30), ("100", 100), ("1 KiB", 1024)] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for bad in ["", "MiB", "1.5G", "-1", "1T", "99999999999G"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(show(512 << 20), "512 MiB");
        assert_eq!(show(1_572_864), "1.5 MiB");
        assert_eq!(show(12), "12 B");
    }
}
