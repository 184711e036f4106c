//! Which CPUs the kernel emulates, from what is registered in `binfmt_misc`.

#[cfg(target_os = "linux")]
use std::{fs, path::Path};

use polyarch_actors::Platform;

/// Where the kernel shows the registered formats.
#[cfg(target_os = "linux")]
pub(crate) const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// One registered format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// The platforms that it emulates.
    pub(crate) platforms: Vec<Platform>,
    /// Whether the kernel holds the interpreter open (flag `F`): without that it would have to be in the image.
    pub(crate) fixed: bool,
}

/// What is registered and enabled; `None` when the file system is not mounted.
#[cfg(target_os = "linux")]
pub(crate) fn registered(folder: &Path) -> Option<Vec<Registered>> {
    if !folder.join("status").exists() {
        return None;
    }
    let entries = fs::read_dir(folder).ok()?;
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    Some(texts.filter_map(|text| parse(&text)).collect())
}

/// Reads the file of one format; `None` for one that is disabled or emulates no CPU.
pub(crate) fn parse(text: &str) -> Option<Registered> {
    let mut lines = text.lines();
    if lines.next()? != "enabled" {
        return None;
    }
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let platforms = architectures(&bytes(value("magic ")?)?);
    let platforms =
        platforms.iter().map(|arch| format!("linux/{arch}").parse().ok()).collect::<Option<Vec<_>>>()?;
    let fixed = value("flags:").is_some_and(|flags| flags.contains('F'));
    (!platforms.is_empty()).then_some(Registered { platforms, fixed })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

/// The architectures whose programs begin like this. The head of an ELF file says it, whatever the name under
/// which the format was registered.
///
/// Source: System V ABI, "ELF Header"; `e_machine` values in `elf.h`.
pub(crate) fn architectures(magic: &[u8]) -> &'static [&'static str] {
    let (Some([0x7f, b'E', b'L', b'F', class, data]), Some([a, b])) =
        (magic.first_chunk::<6>(), magic.get(18..20).and_then(|machine| machine.first_chunk::<2>()))
    else {
        return &[];
    };
    let little = *data == 1;
    let machine = if little { u16::from_le_bytes([*a, *b]) } else { u16::from_be_bytes([*a, *b]) };
    let known = CPUS.iter().find(|cpu| (cpu.class, cpu.little, cpu.machine) == (*class, little, machine));
    known.map_or(&[], |cpu| cpu.architectures)
}

/// How the programs of one CPU begin.
struct Cpu {
    class: u8,
    little: bool,
    machine: u16,
    architectures: &'static [&'static str],
    /// What qemu calls it.
    #[cfg_attr(windows, expect(dead_code, reason = "programs for another CPU are looked for on Linux"))]
    qemu: &'static str,
}

const fn cpu(
    class: u8,
    little: bool,
    machine: u16,
    architectures: &'static [&'static str],
    qemu: &'static str,
) -> Cpu {
    Cpu { class, little, machine, architectures, qemu }
}

const CPUS: [Cpu; 13] = [
    cpu(1, true, 3, &["386"], "i386"),
    cpu(1, true, 40, &["arm/v7", "arm/v6"], "arm"),
    cpu(2, true, 62, &["amd64"], "x86_64"),
    cpu(2, true, 183, &["arm64"], "aarch64"),
    cpu(2, true, 243, &["riscv64"], "riscv64"),
    cpu(2, true, 258, &["loong64"], "loongarch64"),
    cpu(2, true, 21, &["ppc64le"], "ppc64le"),
    cpu(2, false, 21, &["ppc64"], "ppc64"),
    cpu(2, false, 22, &["s390x"], "s390x"),
    cpu(2, true, 8, &["mips64le"], "mips64el"),
    cpu(2, false, 8, &["mips64"], "mips64"),
    cpu(1, true, 8, &["mipsle"], "mipsel"),
    cpu(1, false, 8, &["mips"], "mips"),
];

/// The architectures of each CPU, and what qemu calls it.
#[cfg(target_os = "linux")]
pub(crate) fn cpus() -> impl Iterator<Item = (&'static [&'static str], &'static str)> {
    CPUS.iter().map(|cpu| (cpu.architectures, cpu.qemu))
}

#[cfg(target_os = "linux")]
/// How the programs of an architecture begin, and which bits of that count: executables and shared objects, for any
/// ABI.
pub(crate) fn head(architecture: &str) -> Option<([u8; 20], [u8; 20])> {
    let cpu = CPUS.iter().find(|cpu| cpu.architectures.contains(&architecture))?;
    let (mut magic, mut mask) = ([0; 20], [0xff; 20]);
    magic[..4].copy_from_slice(b"\x7fELF");
    magic[4..7].copy_from_slice(&[cpu.class, if cpu.little { 1 } else { 2 }, 1]);
    mask[7] = 0;
    let bytes = |number: u16| if cpu.little { number.to_le_bytes() } else { number.to_be_bytes() };
    magic[16..18].copy_from_slice(&bytes(2));
    mask[16..18].copy_from_slice(&bytes(0xfffe));
    magic[18..20].copy_from_slice(&bytes(cpu.machine));
    Some((magic, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: &str, flags: &str, magic: &str) -> String {
        format!(
            "{state}\ninterpreter /usr/libexec/qemu-binfmt/x\nflags: {flags}\noffset 0\nmagic {magic}\nmask ff\n"
        )
    }

    #[test]
    fn formats_are_told_apart_by_the_head_of_their_programs() {
        for (magic, platforms) in [
            ("7f454c460201010000000000000000000200b700", &["linux/arm64"][..]),
            ("7f454c4601010100000000000000000002002800", &["linux/arm/v7", "linux/arm/v6"]),
            ("7f454c460202010000000000000000000002 0016".replace(' ', "").as_str(), &["linux/s390x"]),
            ("7f454c460201010000000000000000000200f300", &["linux/riscv64"]),
            ("7f454c4602010100000000000000000002001500", &["linux/ppc64le"]),
        ] {
            let found = parse(&entry("enabled", "POF", magic)).expect("a format");
            assert_eq!(found.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), platforms);
            assert!(found.fixed);
        }
    }

    #[test]
    fn what_is_disabled_or_no_cpu_is_not_listed() {
        let arm64 = "7f454c460201010000000000000000000200b700";
        assert_eq!(parse(&entry("disabled", "F", arm64)), None);
        assert_eq!(parse("enabled\ninterpreter /usr/bin/jexec\nflags:\nextension .jar\n"), None);
        assert_eq!(parse(&entry("enabled", "F", "504b0304")), None);
        assert_eq!(parse(&entry("enabled", "F", "zz")), None);
        assert!(!parse(&entry("enabled", "OC", arm64)).expect("a format").fixed);
    }
}
