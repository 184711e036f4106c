//! The colours of the page, on light and on dark. A test holds their contrasts to WCAG 2 AA.

use std::fmt::Write as _;

/// A colour in both schemes.
pub(super) struct Colour {
    /// Its name in the style.
    pub(super) name: &'static str,
    pub(super) light: u32,
    pub(super) dark: u32,
}

const fn colour(name: &'static str, light: u32, dark: u32) -> Colour {
    Colour { name, light, dark }
}

/// What text and tables stand on.
pub(super) const GROUND: Colour = colour("ground", 0xff_ff_ff, 0x0d_11_17);
/// What is written on the ground.
pub(super) const TEXTS: [Colour; 2] =
    [colour("text", 0x1c_21_28, 0xe6_ed_f3), colour("faint", 0x57_60_6a, 0x9d_a7_b3)];
/// What is written in bars.
pub(super) const ON_BARS: Colour = colour("on", 0xff_ff_ff, 0x0d_11_17);
/// What fills bars.
pub(super) const BARS: [Colour; 8] = [
    colour("wait", 0x6a_73_7d, 0x9d_a7_b3),
    colour("pull", 0x09_69_da, 0x58_a6_ff),
    colour("prep", 0x6f_42_c1, 0xc2_97_ff),
    colour("run", 0x1a_7f_37, 0x3f_b9_50),
    colour("write", 0x9a_4a_00, 0xf0_88_3e),
    colour("other", 0x4a_5a_78, 0x8f_a8_c8),
    colour("push", 0x9b_23_93, 0xf7_78_ba),
    colour("fail", 0xb4_23_18, 0xff_7b_72),
];
/// The sign of the critical path.
pub(super) const CRITICAL: Colour = colour("crit", 0xc2_18_5b, 0xff_d3_3d);
/// Lines that only help.
const LINES: [Colour; 2] = [colour("line", 0xd0_d7_de, 0x30_36_3d), colour("band", 0xf6_f8_fa, 0x16_1b_22)];

/// The variables of the style, of both schemes.
pub(super) fn variables() -> String {
    let all = || {
        let (texts, bars, lines) = (TEXTS.iter(), BARS.iter(), LINES.iter());
        [GROUND, ON_BARS, CRITICAL]
            .into_iter()
            .map(|one| (one.name, one.light, one.dark))
            .chain(texts.chain(bars).chain(lines).map(|one| (one.name, one.light, one.dark)))
    };
    let mut css = String::from(":root{color-scheme:light dark;");
    for (name, light, _) in all() {
        let _ = write!(css, "--{name}:#{light:06x};");
    }
    css.push_str("}@media (prefers-color-scheme:dark){:root{");
    for (name, _, dark) in all() {
        let _ = write!(css, "--{name}:#{dark:06x};");
    }
    css.push_str("}}");
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: WCAG 2.2, "relative luminance".
    fn luminance(colour: u32) -> f64 {
        let part = |shift: u32| {
            let share = f64::from((colour >> shift) & 0xff) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
    }

    /// Source: WCAG 2.2, "contrast ratio".
    fn contrast(one: u32, other: u32) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    #[test]
    fn everything_is_readable_on_light_and_on_dark() {
        let check = |on: &Colour, below: &Colour, least: f64| {
            for (scheme, on_it, ground) in [("light", on.light, below.light), ("dark", on.dark, below.dark)] {
                let found = contrast(on_it, ground);
                assert!(found >= least, "{} on {} in {scheme}: {found:.2}", on.name, below.name);
            }
        };
        let band = &LINES[1];
        for text in &TEXTS {
            check(text, &GROUND, 4.5);
            check(text, band, 4.5);
        }
        for bar in &BARS {
            check(&ON_BARS, bar, 4.5);
            check(bar, &GROUND, 3.0);
        }
        // It says that a step failed, in words too.
        check(&BARS[7], &GROUND, 4.5);
        check(&CRITICAL, &GROUND, 3.0);
        check(&CRITICAL, band, 3.0);
    }
}
