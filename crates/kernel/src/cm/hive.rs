//! What the registry holds from the start.

use nt_abi::{Profile, REG_DWORD, REG_EXPAND_SZ, REG_SZ};

use super::service::sz;
use super::tree::{KeyId, Tree};
use crate::ob::name::units;

/// The registry of a machine that runs a profile's Windows.
pub(super) fn build(profile: Profile, now: i64) -> Tree {
    let mut tree = Tree::new(now);
    let machine = tree.make(Tree::ROOT, "MACHINE", now);
    tree.make(Tree::ROOT, r"USER\.DEFAULT", now);
    tree.make(Tree::ROOT, r"USER\S-1-5-18", now);
    let system = tree.make(machine, "SYSTEM", now);
    let control_set = tree.make(system, "ControlSet001", now);
    tree.link(system, "CurrentControlSet", control_set, now);
    let select = tree.make(system, "Select", now);
    for name in ["Current", "Default", "LastKnownGood"] {
        dword(&mut tree, select, name, 1);
    }
    tree.make(control_set, "Services", now);
    tree.make(control_set, "Enum", now);
    control(&mut tree, control_set, profile, now);
    tree.make(machine, r"HARDWARE\DEVICEMAP", now);
    tree.make(machine, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0", now);
    version(&mut tree, machine, profile, now);
    tree
}

fn dword(tree: &mut Tree, key: KeyId, name: &str, value: u32) {
    tree.key_mut(key).set(&units(name), REG_DWORD, value.to_le_bytes().to_vec());
}

fn text(tree: &mut Tree, key: KeyId, name: &str, value: &str) {
    tree.key_mut(key).set(&units(name), REG_SZ, sz(value));
}

fn control(tree: &mut Tree, control_set: KeyId, profile: Profile, now: i64) {
    let control = tree.make(control_set, "Control", now);
    text(tree, control, "SystemBootDevice", "multi(0)disk(0)rdisk(0)partition(1)");
    let name = tree.make(control, r"ComputerName\ComputerName", now);
    text(tree, name, "ComputerName", "CALLBOARD");
    let options = tree.make(control, "ProductOptions", now);
    text(tree, options, "ProductType", "WinNT");
    let key = tree.make(control, r"Session Manager\Environment", now);
    environment(tree, key);
    let windows = tree.make(control, "Windows", now);
    tree.key_mut(windows).set(&units("Directory"), REG_EXPAND_SZ, sz("%SystemRoot%"));
    dword(tree, windows, "CSDVersion", u32::from(profile == Profile::Win7Sp1) << 8);
}

/// The environment of every process: texts only.
fn environment(tree: &mut Tree, key: KeyId) {
    text(tree, key, "OS", "Windows_NT");
    text(tree, key, "PROCESSOR_ARCHITECTURE", "AMD64");
    tree.key_mut(key).set(&units("TEMP"), REG_EXPAND_SZ, sz(r"%SystemRoot%\TEMP"));
    tree.key_mut(key).set(&units("windir"), REG_EXPAND_SZ, sz("%SystemRoot%"));
}

fn version(tree: &mut Tree, machine: KeyId, profile: Profile, now: i64) {
    let key = tree.make(machine, r"SOFTWARE\Microsoft\Windows NT\CurrentVersion", now);
    let build = profile.build() & 0xFFFF;
    // Since 10.0 the old value stands still at 6.3, and the numbers have values of their own.
    let current =
        if profile.major() >= 10 { "6.3".into() } else { format!("{}.{}", profile.major(), profile.minor()) };
    text(tree, key, "CurrentVersion", &current);
    text(tree, key, "CurrentBuild", &build.to_string());
    text(tree, key, "CurrentBuildNumber", &build.to_string());
    text(tree, key, "CurrentType", "Multiprocessor Free");
    text(tree, key, "InstallationType", "Client");
    text(tree, key, "SystemRoot", r"C:\Windows");
    if profile.major() >= 10 {
        dword(tree, key, "CurrentMajorVersionNumber", profile.major());
        dword(tree, key, "CurrentMinorVersionNumber", profile.minor());
        dword(tree, key, "UBR", 1);
    }
    let product = match (profile.major(), profile.minor(), build) {
        (6, 1, _) => "Windows 7 Enterprise",
        (6, 2, _) => "Windows 8 Enterprise",
        (6, 3, _) => "Windows 8.1 Enterprise",
        // The value was never changed for Windows 11.
        _ => "Windows 10 Enterprise",
    };
    text(tree, key, "ProductName", product);
    tree.make(machine, r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run", now);
}
