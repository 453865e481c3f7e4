//! The last touch and the last look at a driver's file.

use anyhow::{Result, bail, ensure};
use object::LittleEndian as LE;
use object::pe::{IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY, IMAGE_SUBSYSTEM_NATIVE};
use object::read::pe::{ImageNtHeaders as _, ImageOptionalHeader as _, PeFile64};

use super::recipe::Driver;

/// What our drivers may import from.
const MODULES: &[&[u8]] = &[b"ntoskrnl.exe", b"FLTMGR.SYS"];

/// `IMAGE_OPTIONAL_HEADER64::CheckSum` from the start of the PE header.
const CHECKSUM_FROM_PE_HEADER: usize = 24 + 64;

/// Sets the header's checksum, which Windows demands of drivers and lld leaves zero.
pub(crate) fn set_checksum(file: &mut [u8]) -> Result<()> {
    let at = checksum_offset(file)?;
    let sum = checksum(file, at);
    file[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn checksum_offset(file: &[u8]) -> Result<usize> {
    let word = file.get(0x3C..0x40).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let header = usize::try_from(word.map_or(u32::MAX, u32::from_le_bytes))?;
    let at = header.saturating_add(CHECKSUM_FROM_PE_HEADER);
    ensure!(file.len() > at.saturating_add(4), "the file ends before its header does");
    Ok(at)
}

/// The sum of all 16-bit words with end-around carry, the checksum itself as zero, plus the length.
fn checksum(file: &[u8], own: usize) -> u32 {
    let mut sum = 0_u32;
    for (i, pair) in file.chunks(2).enumerate() {
        if (own..own + 4).contains(&(i * 2)) {
            continue;
        }
        sum += u32::from(pair[0]) | pair.get(1).map_or(0, |&high| u32::from(high) << 8);
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum.wrapping_add(u32::try_from(file.len()).unwrap_or(u32::MAX))
}

/// Looks at everything that real Windows asks of a driver's header, and at what we promise.
pub(crate) fn verify(driver: &Driver, file: &[u8]) -> Result<()> {
    let pe = PeFile64::parse(file)?;
    let header = pe.nt_headers().optional_header();
    ensure!(
        header.subsystem() == IMAGE_SUBSYSTEM_NATIVE,
        "its subsystem is {:?}, not native",
        header.subsystem()
    );
    let integrity = header.dll_characteristics().contains(IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY);
    ensure!(integrity == driver.has_integrity(), "FORCE_INTEGRITY is {integrity}");
    let expected = checksum(file, checksum_offset(file)?);
    ensure!(header.check_sum() == expected, "its checksum is {:#x}, not {expected:#x}", header.check_sum());
    ensure!(header.address_of_entry_point() != 0, "it has no entry point");
    let table = pe.import_table()?;
    let Some(table) = table else { return Ok(()) };
    let mut modules = table.descriptors()?;
    while let Some(module) = modules.next()? {
        let name = table.name(module.name.get(LE))?;
        if !MODULES.iter().any(|module| name.eq_ignore_ascii_case(module)) {
            bail!("it imports from {}", String::from_utf8_lossy(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed sensor's checksum is right, and wrong for any other byte in it.
    #[test]
    fn the_checksum_covers_the_file() {
        let path = crate::root::root().join("drivers/bin/sensor.sys");
        let mut file = std::fs::read(path).unwrap();
        let at = checksum_offset(&file).unwrap();
        let stored = u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!(checksum(&file, at), stored);
        let last = file.len() / 2;
        file[last] ^= 1;
        assert_ne!(checksum(&file, at), stored);
    }

    #[test]
    fn every_committed_driver_is_valid() {
        for driver in &crate::drivers::recipe::all().unwrap() {
            let path = crate::root::root().join(driver.committed());
            let file = std::fs::read(path).unwrap();
            verify(driver, &file).map_err(|why| format!("{}: {why:#}", driver.name)).unwrap();
        }
    }

    /// Each field that Windows looks at, changed alone.
    #[test]
    fn an_invalid_driver_is_named_so() {
        let sensor = &crate::drivers::recipe::all().unwrap()[0];
        let good = std::fs::read(crate::root::root().join("drivers/bin/sensor.sys")).unwrap();
        let header = checksum_offset(&good).unwrap() - CHECKSUM_FROM_PE_HEADER;
        for (offset, what) in [(24 + 68, "subsystem"), (24 + 70, "FORCE_INTEGRITY"), (24 + 16, "checksum")] {
            let mut bad = good.clone();
            bad[header + offset] ^= 0x80;
            let why = verify(sensor, &bad).unwrap_err().to_string();
            assert!(why.contains(what), "{what}: {why}");
        }
    }

    #[test]
    fn a_short_file_is_an_error() {
        assert!(set_checksum(&mut [0; 0x40]).is_err());
        assert!(set_checksum(&mut []).is_err());
    }
}
