//! The keys of services: what the service control manager writes, and what whoever loads a driver sets for it.

use nt_abi::{REG_BINARY, REG_DWORD, REG_EXPAND_SZ, REG_MULTI_SZ, REG_QWORD, REG_SZ};

use super::tree::{KeyId, Tree};
use crate::Kernel;
use crate::ob::name::units;

/// The data of a registry value, with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryValue {
    /// Text.
    Sz(String),
    /// Text with references to environment variables, as `%SystemRoot%`.
    ExpandSz(String),
    /// Several texts. Empty ones cannot be told from the end and are left out.
    MultiSz(Vec<String>),
    /// A 32-bit number.
    Dword(u32),
    /// A 64-bit number.
    Qword(u64),
    /// Bytes.
    Binary(Vec<u8>),
}

impl RegistryValue {
    /// `REG_…`, and the bytes as the registry keeps them.
    pub(super) fn encode(&self) -> (u32, Vec<u8>) {
        match self {
            Self::Sz(text) => (REG_SZ, sz(text)),
            Self::ExpandSz(text) => (REG_EXPAND_SZ, sz(text)),
            Self::MultiSz(texts) => {
                let mut data: Vec<u8> =
                    texts.iter().filter(|text| !text.is_empty()).flat_map(|text| sz(text)).collect();
                data.extend([0, 0]);
                (REG_MULTI_SZ, data)
            }
            Self::Dword(number) => (REG_DWORD, number.to_le_bytes().to_vec()),
            Self::Qword(number) => (REG_QWORD, number.to_le_bytes().to_vec()),
            Self::Binary(bytes) => (REG_BINARY, bytes.clone()),
        }
    }
}

/// A text as the registry keeps it: UTF-16 with a NUL.
pub(super) fn sz(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The key of a service, made where it is not there.
fn service(tree: &mut Tree, name: &str, now: i64) -> KeyId {
    // A name is one key: what would end it is replaced.
    let path = super::service_key(&name.replace('\\', "_"));
    tree.make(Tree::ROOT, path.trim_start_matches(r"\Registry"), now)
}

impl Kernel {
    /// Sets a value in the `Parameters` key of a service, which is made where it is not there: how a driver is
    /// configured, before or after it is loaded. A value that is there is replaced.
    ///
    /// `service` is the driver's service name, `name` the value's; the empty name is the key's default value.
    pub fn set_service_value(&self, service: &str, name: &str, value: RegistryValue) {
        let (kind, data) = value.encode();
        let now = crate::ke::time::now().0;
        let mut tree = self.cm.tree();
        let key = self::service(&mut tree, service, now);
        let parameters = tree.make(key, "Parameters", now);
        let parameters = tree.key_mut(parameters);
        parameters.set(&units(name), kind, data);
        parameters.written = now;
    }

    /// Writes the key of a driver's service as the service control manager does; values that are there stay.
    pub(crate) fn make_service_key(&self, name: &str, file_name: &str) {
        let now = crate::ke::time::now().0;
        let mut tree = self.cm.tree();
        let key = service(&mut tree, name, now);
        tree.make(key, "Parameters", now);
        let key = tree.key_mut(key);
        let mut put = |name: &str, value: RegistryValue| {
            let name = units(name);
            if key.value(&name).is_none() {
                let (kind, data) = value.encode();
                key.set(&name, kind, data);
            }
        };
        put("ImagePath", RegistryValue::ExpandSz(format!(r"\SystemRoot\System32\drivers\{file_name}")));
        // SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL.
        put("Type", RegistryValue::Dword(1));
        put("Start", RegistryValue::Dword(3));
        put("ErrorControl", RegistryValue::Dword(1));
        put("DisplayName", RegistryValue::Sz(name.into()));
        put("Group", RegistryValue::Sz("FSFilter Activity Monitor".into()));
    }
}
