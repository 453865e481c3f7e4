//! Which Windows is stood in for, and what it has.

use core::fmt;
use core::str::FromStr;

/// The Windows version that is being stood in for, oldest first.
///
/// The two updates (KB2922790 of Windows 7, "Update 1" of Windows 8.1) are profiles because they raised
/// the number of image routines (SEMANTICS A.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Profile {
    /// Windows 7 Service Pack 1.
    Win7Sp1,
    /// Windows 7 Service Pack 1 with KB2922790.
    Win7Sp1Kb2922790,
    /// Windows 8.1.
    Win81,
    /// Windows 8.1 with Update 1 (KB2919355).
    Win81U1,
    /// Windows 10, version 1507.
    Win10_1507,
    /// Windows 10, version 1607: the kernel of Windows Server 2016.
    Win10_1607,
    /// Windows 10, version 1703.
    Win10_1703,
    /// Windows 10, version 1709.
    Win10_1709,
    /// Windows 10, version 22H2.
    Win10_22H2,
    /// Windows 11, version 24H2.
    #[default]
    Win11_24H2,
}

impl Profile {
    /// Every profile, oldest first.
    pub const ALL: [Self; 10] = [
        Self::Win7Sp1,
        Self::Win7Sp1Kb2922790,
        Self::Win81,
        Self::Win81U1,
        Self::Win10_1507,
        Self::Win10_1607,
        Self::Win10_1703,
        Self::Win10_1709,
        Self::Win10_22H2,
        Self::Win11_24H2,
    ];

    /// The name by which users choose it: `win10-22h2`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Win7Sp1 => "win7-sp1",
            Self::Win7Sp1Kb2922790 => "win7-sp1-kb2922790",
            Self::Win81 => "win8.1",
            Self::Win81U1 => "win8.1-u1",
            Self::Win10_1507 => "win10-1507",
            Self::Win10_1607 => "win10-1607",
            Self::Win10_1703 => "win10-1703",
            Self::Win10_1709 => "win10-1709",
            Self::Win10_22H2 => "win10-22h2",
            Self::Win11_24H2 => "win11-24h2",
        }
    }

    /// The name in prose: "Windows 7 Service Pack 1 with KB2922790".
    pub const fn title(self) -> &'static str {
        match self {
            Self::Win7Sp1 => "Windows 7 Service Pack 1",
            Self::Win7Sp1Kb2922790 => "Windows 7 Service Pack 1 with KB2922790",
            Self::Win81 => "Windows 8.1",
            Self::Win81U1 => "Windows 8.1 with Update 1",
            Self::Win10_1507 => "Windows 10, version 1507",
            Self::Win10_1607 => "Windows 10, version 1607",
            Self::Win10_1703 => "Windows 10, version 1703",
            Self::Win10_1709 => "Windows 10, version 1709",
            Self::Win10_22H2 => "Windows 10, version 22H2",
            Self::Win11_24H2 => "Windows 11, version 24H2",
        }
    }

    /// Major version as `PsGetVersion` and `RtlGetVersion` report it (Windows 11 says 10).
    pub const fn major(self) -> u32 {
        match self {
            Self::Win7Sp1 | Self::Win7Sp1Kb2922790 | Self::Win81 | Self::Win81U1 => 6,
            _ => 10,
        }
    }

    /// Minor version as `PsGetVersion` and `RtlGetVersion` report it.
    pub const fn minor(self) -> u32 {
        match self {
            Self::Win7Sp1 | Self::Win7Sp1Kb2922790 => 1,
            Self::Win81 | Self::Win81U1 => 3,
            _ => 0,
        }
    }

    /// Build number.
    pub const fn build(self) -> u32 {
        match self {
            Self::Win7Sp1 | Self::Win7Sp1Kb2922790 => 7601,
            Self::Win81 | Self::Win81U1 => 9600,
            Self::Win10_1507 => 10240,
            Self::Win10_1607 => 14393,
            Self::Win10_1703 => 15063,
            Self::Win10_1709 => 16299,
            Self::Win10_22H2 => 19045,
            Self::Win11_24H2 => 26100,
        }
    }

    /// Major version of the service pack, 0 where there is none.
    pub const fn service_pack(self) -> u16 {
        matches!(self, Self::Win7Sp1 | Self::Win7Sp1Kb2922790) as u16
    }

    /// Slots of the process table, which all three flavours of registration share (R-REG-05).
    pub const fn process_routine_limit(self) -> usize {
        64
    }

    /// Slots of the thread table (R-REG-05; not documented before Windows 10, 64 assumed).
    pub const fn thread_routine_limit(self) -> usize {
        64
    }

    /// Slots of the image table: 8 before the two updates and Windows 10, 64 since (R-REG-05).
    pub const fn image_routine_limit(self) -> usize {
        match self {
            Self::Win7Sp1 | Self::Win81 => 8,
            _ => 64,
        }
    }

    /// The bits of `IMAGE_INFO.Properties` that exist; the others are 0 (SEMANTICS B.4).
    pub const fn image_properties(self) -> u32 {
        let mut bits = crate::IMAGE_PROPERTIES_ADDRESSING_MODE_MASK
            | crate::IMAGE_PROPERTIES_SYSTEM_MODE_IMAGE
            | crate::IMAGE_PROPERTIES_MAPPED_TO_ALL_PIDS
            | crate::IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT;
        if self.has(Since::Win8) {
            bits |= crate::IMAGE_PROPERTIES_MACHINE_TYPE_MISMATCH;
        }
        if self.has(Since::Win81) {
            bits |=
                crate::IMAGE_PROPERTIES_SIGNATURE_LEVEL_MASK | crate::IMAGE_PROPERTIES_SIGNATURE_TYPE_MASK;
        }
        if self.has(Since::Win10_1507) {
            bits |= crate::IMAGE_PROPERTIES_PARTIAL_MAP;
        }
        bits
    }

    /// The bits of `PS_CREATE_NOTIFY_INFO.Flags` that exist (SEMANTICS B.2).
    pub const fn creation_flags(self) -> u32 {
        if self.has(Since::Win10_1703) {
            crate::PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE | crate::PS_CREATE_NOTIFY_IS_SUBSYSTEM_PROCESS
        } else {
            crate::PS_CREATE_NOTIFY_FILE_OPEN_NAME_AVAILABLE
        }
    }

    /// `MmUserProbeAddress`: the end of user space, which Windows 8.1 moved from 8 TiB to 128 TiB.
    /// `MmHighestUserAddress` is one less than it.
    pub const fn user_probe_address(self) -> usize {
        match self {
            Self::Win7Sp1 | Self::Win7Sp1Kb2922790 => 0x7FF_FFFF_0000,
            _ => crate::MM_USER_PROBE_ADDRESS,
        }
    }

    /// The Windows version that this profile is a member of, on the scale of [`Since`].
    pub const fn version(self) -> Since {
        match self {
            Self::Win7Sp1 | Self::Win7Sp1Kb2922790 => Since::Win7,
            Self::Win81 | Self::Win81U1 => Since::Win81,
            Self::Win10_1507 => Since::Win10_1507,
            Self::Win10_1607 => Since::Win10_1607,
            Self::Win10_1703 => Since::Win10_1703,
            Self::Win10_1709 => Since::Win10_1709,
            // 20H2 to 22H2 are the kernel of 2004 with features switched on.
            Self::Win10_22H2 => Since::Win10_2004,
            Self::Win11_24H2 => Since::Win11_24H2,
        }
    }

    /// Whether something that first appeared in `since` exists here (R-REG-01).
    pub const fn has(self, since: Since) -> bool {
        since as u8 <= self.version() as u8
    }
}

/// The name by which users choose it.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No profile has the given name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownProfile;

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown profile; known are:")?;
        Profile::ALL.iter().try_for_each(|profile| write!(f, " {profile}"))
    }
}

impl core::error::Error for UnknownProfile {}

/// By [`Profile::name`], whatever the case of its letters.
impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|profile| profile.name().eq_ignore_ascii_case(text)).ok_or(UnknownProfile)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Profile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Profile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl serde::de::Visitor<'_> for Name {
            type Value = Profile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a profile")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Profile, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// The first Windows version that has something, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Since {
    /// Windows 2000.
    Win2000,
    /// Windows XP.
    Xp,
    /// Windows Vista.
    Vista,
    /// Windows Vista with Service Pack 1 (Windows Server 2008).
    VistaSp1,
    /// Windows 7.
    Win7,
    /// Windows 8.
    Win8,
    /// Windows 8.1.
    Win81,
    /// Windows 10, version 1507.
    Win10_1507,
    /// Windows 10, version 1511.
    Win10_1511,
    /// Windows 10, version 1607 (Windows Server 2016).
    Win10_1607,
    /// Windows 10, version 1703.
    Win10_1703,
    /// Windows 10, version 1709.
    Win10_1709,
    /// Windows 10, version 1803.
    Win10_1803,
    /// Windows 10, version 1809 (Windows Server 2019).
    Win10_1809,
    /// Windows 10, version 1903.
    Win10_1903,
    /// Windows 10, version 2004.
    Win10_2004,
    /// Windows 11, version 21H2.
    Win11_21H2,
    /// Windows 11, version 22H2.
    Win11_22H2,
    /// Windows 11, version 24H2.
    Win11_24H2,
}

impl Since {
    /// The name in prose: "Windows 10, version 1709".
    pub const fn title(self) -> &'static str {
        match self {
            Self::Win2000 => "Windows 2000",
            Self::Xp => "Windows XP",
            Self::Vista => "Windows Vista",
            Self::VistaSp1 => "Windows Vista with Service Pack 1",
            Self::Win7 => "Windows 7",
            Self::Win8 => "Windows 8",
            Self::Win81 => "Windows 8.1",
            Self::Win10_1507 => "Windows 10, version 1507",
            Self::Win10_1511 => "Windows 10, version 1511",
            Self::Win10_1607 => "Windows 10, version 1607",
            Self::Win10_1703 => "Windows 10, version 1703",
            Self::Win10_1709 => "Windows 10, version 1709",
            Self::Win10_1803 => "Windows 10, version 1803",
            Self::Win10_1809 => "Windows 10, version 1809",
            Self::Win10_1903 => "Windows 10, version 1903",
            Self::Win10_2004 => "Windows 10, version 2004",
            Self::Win11_21H2 => "Windows 11, version 21H2",
            Self::Win11_22H2 => "Windows 11, version 22H2",
            Self::Win11_24H2 => "Windows 11, version 24H2",
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::string::ToString as _;

    #[test]
    fn every_name_finds_its_profile() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse(), Ok(profile));
            assert_eq!(profile.name().to_ascii_uppercase().parse(), Ok(profile));
        }
        assert_eq!("win12".parse::<Profile>(), Err(UnknownProfile));
        assert!(UnknownProfile.to_string().ends_with("win11-24h2"));
    }

    #[test]
    fn profiles_and_builds_ascend() {
        for pair in Profile::ALL.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].build() <= pair[1].build(), "{pair:?}");
        }
        assert_eq!(Profile::default(), Profile::Win11_24H2);
    }

    #[test]
    fn r_reg_05_limits_of_the_tables() {
        let images: std::vec::Vec<usize> = Profile::ALL.iter().map(|p| p.image_routine_limit()).collect();
        assert_eq!(images, [8, 64, 8, 64, 64, 64, 64, 64, 64, 64]);
        assert!(
            Profile::ALL.iter().all(|p| p.process_routine_limit() == 64 && p.thread_routine_limit() == 64)
        );
    }

    #[test]
    fn bits_of_the_structures_by_profile() {
        let bits = |profile: Profile| (profile.image_properties(), profile.creation_flags());
        assert_eq!(bits(Profile::Win7Sp1), (0x7FF, 1));
        assert_eq!(bits(Profile::Win81), (0x7_FFFF, 1));
        assert_eq!(bits(Profile::Win10_1507), (0xF_FFFF, 1));
        assert_eq!(bits(Profile::Win10_1703), (0xF_FFFF, 3));
    }

    #[test]
    fn r_reg_01_newer_routines_are_absent_from_older_profiles() {
        assert!(Profile::Win7Sp1.has(Since::VistaSp1) && Profile::Win7Sp1.has(Since::Win7));
        assert!(!Profile::Win7Sp1Kb2922790.has(Since::Win8));
        assert!(Profile::Win81.has(Since::Win8) && !Profile::Win81U1.has(Since::Win10_1507));
        assert!(!Profile::Win10_1507.has(Since::Win10_1511) && Profile::Win10_1607.has(Since::Win10_1607));
        assert!(!Profile::Win10_1607.has(Since::Win10_1703) && Profile::Win10_1703.has(Since::Win10_1703));
        assert!(!Profile::Win10_1703.has(Since::Win10_1709) && Profile::Win10_1709.has(Since::Win10_1709));
        assert!(Profile::Win10_22H2.has(Since::Win10_2004) && !Profile::Win10_22H2.has(Since::Win11_21H2));
        assert!(Profile::Win11_24H2.has(Since::Win11_24H2));
        assert_eq!(Since::Win10_1709.to_string(), "Windows 10, version 1709");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serialised_by_its_name() {
        let text = serde_json::to_string(&Profile::Win81U1).unwrap();
        assert_eq!(text, "\"win8.1-u1\"");
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), Profile::Win81U1);
        assert!(serde_json::from_str::<Profile>("\"win95\"").is_err());
    }
}
