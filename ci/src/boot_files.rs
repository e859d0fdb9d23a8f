//! What the Pi's firmware would start from a boot partition: reads `config.txt` as far as that needs
//! (<https://www.raspberrypi.com/documentation/computers/config_txt.html>).
//!
//! Pure. `include`, `os_prefix` and overlays are not looked at.

/// Names of files on the boot partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFiles {
    /// Kernel.
    pub kernel: String,
    /// Initial file system, if one is asked for.
    pub initramfs: Option<String>,
    /// File with the kernel command line.
    pub command_line: String,
    /// Device tree, if one is named; else the board's own.
    pub device_tree: Option<String>,
}

/// Device trees of a Pi 2, in the order in which the firmware and mainline kernels name them.
pub const DEVICE_TREES: [&str; 2] = ["bcm2709-rpi-2-b.dtb", "bcm2836-rpi-2-b.dtb"];

/// Reads `config.txt` as the board named `board` (`pi2`) would.
pub fn read_config(text: &str, board: &str) -> BootFiles {
    let mut files = BootFiles {
        kernel: "kernel7.img".to_owned(),
        initramfs: None,
        command_line: "cmdline.txt".to_owned(),
        device_tree: None,
    };
    let mut automatic = false;
    let mut meant = true;
    for line in text.lines().map(str::trim) {
        if let Some(filter) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            meant = filter == "all" || filter == board;
        }
        if !meant || line.starts_with('#') {
            continue;
        }
        // "initramfs FILE followkernel" is the one line without an equals sign.
        if let Some(rest) = line.strip_prefix("initramfs ") {
            files.initramfs = rest.split_whitespace().next().map(str::to_owned);
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim().to_owned();
        match key.trim() {
            "kernel" => files.kernel = value,
            "ramfsfile" => files.initramfs = Some(value),
            "cmdline" => files.command_line = value,
            "device_tree" if !value.is_empty() => files.device_tree = Some(value),
            "auto_initramfs" => automatic = value == "1",
            _ => {}
        }
    }
    if automatic && files.initramfs.is_none() {
        let name = files.kernel.replacen("kernel", "initramfs", 1);
        files.initramfs = Some(name.trim_end_matches(".img").to_owned());
    }
    files
}

/// The one line of a `cmdline.txt`.
pub fn command_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_config_as_the_firmware_does() {
        for (text, kernel, initramfs, device_tree) in [
            ("", "kernel7.img", None, None),
            (
                "kernel=vmlinuz\ninitramfs initrd.img followkernel\n",
                "vmlinuz",
                Some("initrd.img"),
                None,
            ),
            ("# kernel=x\nkernel = a \r\n", "a", None, None),
            (
                "[pi4]\nkernel=kernel8.img\n[pi2]\ninitramfs i\n[all]\ndevice_tree=d.dtb\n",
                "kernel7.img",
                Some("i"),
                Some("d.dtb"),
            ),
            ("auto_initramfs=1\n", "kernel7.img", Some("initramfs7"), None),
        ] {
            let files = read_config(text, "pi2");
            assert_eq!(files.kernel, kernel, "{text}");
            assert_eq!(files.initramfs.as_deref(), initramfs, "{text}");
            assert_eq!(files.device_tree.as_deref(), device_tree, "{text}");
            assert_eq!(files.command_line, "cmdline.txt");
        }
        assert_eq!(command_line(" root=x quiet \n"), "root=x quiet");
        assert_eq!(command_line(""), "");
    }
}
