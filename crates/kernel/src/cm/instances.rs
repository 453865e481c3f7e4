//! The `Instances` keys of minifilters: what an installation writes, and the filter manager reads.

use super::service::RegistryValue;
use super::tree::{KeyId, Tree};
use crate::Kernel;
use crate::ob::name::units;

/// The altitude of a driver for which nobody has set one: in the range of activity monitors, and no allocated one.
const DEFAULT_ALTITUDE: u32 = 385_200;

/// The default instance of a minifilter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefaultInstance {
    pub(crate) name: String,
    pub(crate) altitude: String,
}

/// Where an installation may have put it; the second place is for drivers whose files stay in the driver store.
const PLACES: [&str; 2] = ["Instances", r"Parameters\Instances"];

fn service(tree: &Tree, name: &str) -> Option<KeyId> {
    let path = super::service_key(&name.replace('\\', "_"));
    tree.find(Tree::ROOT, &units(path.trim_start_matches(r"\Registry")))
}

fn text(tree: &Tree, key: KeyId, name: &str) -> Option<String> {
    let value = tree.key(key).value(&units(name))?;
    let text: Vec<u16> = value.data.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    Some(String::from_utf16_lossy(&text).trim_end_matches('\0').to_owned())
}

impl Kernel {
    /// The default instance of a service, read as `FltRegisterFilter` does.
    pub(crate) fn default_instance(&self, name: &str) -> Option<DefaultInstance> {
        let tree = self.cm.tree();
        let service = service(&tree, name)?;
        let instances = PLACES.iter().find_map(|place| tree.find(service, &units(place)))?;
        let name = text(&tree, instances, "DefaultInstance")?;
        let instance = tree.find(instances, &units(&name))?;
        let altitude = text(&tree, instance, "Altitude")?;
        Some(DefaultInstance { name, altitude })
    }

    /// Writes the `Instances` key of a driver that has none, as its installation would have; answers the
    /// altitude that it chose. `index` tells drivers apart, as no two filters may have one altitude.
    pub(crate) fn make_instances_key(&self, name: &str, index: u32) -> Option<String> {
        if self.default_instance(name).is_some() {
            return None;
        }
        let now = crate::ke::time::now().0;
        let altitude = (DEFAULT_ALTITUDE + index).to_string();
        let instance = format!("{} Instance", name.replace('\\', "_"));
        let mut tree = self.cm.tree();
        let service = service(&tree, name)?;
        let instances = tree.make(service, PLACES[0], now);
        let (kind, data) = RegistryValue::Sz(instance.clone()).encode();
        tree.key_mut(instances).set(&units("DefaultInstance"), kind, data);
        let key = tree.make(instances, &instance, now);
        let (kind, data) = RegistryValue::Sz(altitude.clone()).encode();
        tree.key_mut(key).set(&units("Altitude"), kind, data);
        let (kind, data) = RegistryValue::Dword(0).encode();
        tree.key_mut(key).set(&units("Flags"), kind, data);
        Some(altitude)
    }
}
