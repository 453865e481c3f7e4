//! Names, files and volumes.

use super::*;

#[test]
fn r_ii_04_an_image_file_has_a_name_in_device_form() {
    with_kernel(Config::default(), |_, records| {
        let file = file("/usr/lib/libc.so.6");
        let mut information = std::ptr::null_mut();
        let options = FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT;
        // SAFETY: an open file, and what the routine gave.
        unsafe {
            let status = FltGetFileNameInformationUnsafe(
                file.as_file_object(),
                std::ptr::null_mut(),
                options,
                &mut information,
            );
            assert_eq!(status, STATUS_SUCCESS);
            assert_eq!(text(&(*information).Name), r"\Device\HarddiskVolume1\usr\lib\libc.so.6");
            assert_eq!(text(&(*information).Volume), VOLUME);
            assert_eq!((*information).NamesParsed, 0);
            assert!((*information).FinalComponent.Buffer.is_null(), "not before it is parsed");
            assert_eq!(FltParseFileNameInformation(information), STATUS_SUCCESS);
            assert_eq!((*information).NamesParsed, 0xF);
            assert_eq!(text(&(*information).ParentDir), r"\usr\lib\");
            assert_eq!(text(&(*information).FinalComponent), "libc.so.6");
            assert_eq!(text(&(*information).Extension), "6");
            FltReferenceFileNameInformation(information);
            FltReleaseFileNameInformation(information);
            FltReleaseFileNameInformation(information);
            assert!(records.findings().is_empty());
            FltReleaseFileNameInformation(information);
        }
        assert_eq!(records.findings(), ["L-14"], "released once too often");
    });
}

#[test]
fn names_are_refused_where_they_are_not_there() {
    with_kernel(Config::default(), |_, _: &Records| {
        let file = file("/usr/lib/libc.so.6");
        let mut information = std::ptr::null_mut();
        let mut ask = |file, options| {
            // SAFETY: a file object or NULL.
            unsafe { FltGetFileNameInformationUnsafe(file, std::ptr::null_mut(), options, &mut information) }
        };
        assert_eq!(ask(std::ptr::null(), 0x101), STATUS_FLT_INVALID_NAME_REQUEST);
        assert_eq!(ask(file.as_file_object(), 0x100), STATUS_INVALID_PARAMETER, "no format");
        assert_eq!(ask(file.as_file_object(), 0x901), STATUS_INVALID_PARAMETER, "no such method");
        assert_eq!(ask(file.as_file_object(), 0x103), STATUS_OBJECT_NAME_NOT_FOUND, "no short name");
        assert!(information.is_null());
    });
}

#[test]
fn r_l_09_a_name_query_with_all_apcs_disabled_is_a_finding() {
    with_kernel(Config::default(), |_, records| {
        let file = file("/bin/true");
        let thread = crate::ps::thread::current().unwrap();
        crate::ke::region::add(&thread.kthread.special_apc_disable, -1);
        let mut information = std::ptr::null_mut();
        let mut iopb = FLT_IO_PARAMETER_BLOCK {
            TargetFileObject: file.as_file_object(),
            ..FLT_IO_PARAMETER_BLOCK::default()
        };
        let data = FLT_CALLBACK_DATA { Iopb: &raw mut iopb, ..FLT_CALLBACK_DATA::default() };
        // SAFETY: an open file, and what the routine gave.
        unsafe {
            assert_eq!(
                FltGetFileNameInformation(&data, 0x101, &mut information),
                STATUS_FLT_INVALID_NAME_REQUEST
            );
            assert!(records.findings().is_empty(), "the safe routine says no by itself");
            let file = file.as_file_object();
            let status = FltGetFileNameInformationUnsafe(file, std::ptr::null_mut(), 0x101, &mut information);
            assert_eq!(status, STATUS_SUCCESS);
            FltReleaseFileNameInformation(information);
            crate::ke::region::add(&thread.kthread.special_apc_disable, 1);
            assert_eq!(FltGetFileNameInformation(&data, 0x101, &mut information), STATUS_SUCCESS);
            FltReleaseFileNameInformation(information);
        }
        assert_eq!(records.findings(), ["L-09"]);
    });
}

#[test]
fn a_destination_is_relative_to_the_file_it_is_for() {
    with_kernel(Config::default(), |_, _: &Records| {
        let file = file("/tmp/a.txt");
        let ask = |name: &str| {
            let units: Vec<u16> = name.encode_utf16().collect();
            let mut information = std::ptr::null_mut();
            let bytes = u32::try_from(units.len() * 2).unwrap();
            // SAFETY: an open file, a name with as many bytes, and what the routine gave.
            unsafe {
                let none = std::ptr::null_mut();
                let status = FltGetDestinationFileNameInformation(
                    none,
                    file.as_file_object(),
                    std::ptr::null_mut(),
                    units.as_ptr(),
                    bytes,
                    0x101,
                    &mut information,
                );
                assert_eq!(status, STATUS_SUCCESS);
                let name = text(&(*information).Name);
                FltReleaseFileNameInformation(information);
                name
            }
        };
        assert_eq!(ask("b.txt"), r"\Device\HarddiskVolume1\tmp\b.txt");
        assert_eq!(ask(r"\??\C:\x\b.txt"), r"\Device\HarddiskVolume1\x\b.txt");
    });
}

#[test]
fn volumes_are_found_and_described() {
    with_kernel(Config::default(), |kernel, _: &Records| {
        let (_, filter) = filter(kernel, "volumes");
        let units: Vec<u16> = r"\??\c:".encode_utf16().collect();
        let bytes = u16::try_from(units.len() * 2).unwrap();
        let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() };
        // SAFETY: pointers to what each routine documents.
        unsafe {
            let (mut volume, mut listed, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
            assert_eq!(FltGetVolumeFromName(filter, &name, &mut volume), STATUS_SUCCESS);
            let none = FltEnumerateVolumes(filter, std::ptr::null_mut(), 0, &mut count);
            assert_eq!((none, count), (STATUS_BUFFER_TOO_SMALL, 1));
            assert_eq!(FltEnumerateVolumes(filter, &mut listed, 1, &mut count), STATUS_SUCCESS);
            assert_eq!(listed, volume);

            let mut needed = 0;
            assert_eq!(
                FltGetVolumeProperties(volume, std::ptr::null_mut(), 0, &mut needed),
                STATUS_BUFFER_TOO_SMALL
            );
            assert!(needed > 0x48);
            let mut buffer = [FLT_VOLUME_PROPERTIES::default(); 4];
            let short = FltGetVolumeProperties(volume, buffer.as_mut_ptr(), 0x48, &mut needed);
            assert_eq!((short, needed), (STATUS_BUFFER_OVERFLOW, 0x48));
            let room = u32::try_from(size_of_val(&buffer)).unwrap();
            assert_eq!(
                FltGetVolumeProperties(volume, buffer.as_mut_ptr(), room, &mut needed),
                STATUS_SUCCESS
            );
            assert_eq!(text(&buffer[0].FileSystemDriverName), r"\FileSystem\Ntfs");
            assert_eq!(text(&buffer[0].RealDeviceName), VOLUME);

            let mut told = [0_u16; 64];
            let mut string = UNICODE_STRING { Length: 0, MaximumLength: 4, Buffer: told.as_mut_ptr() };
            assert_eq!(FltGetVolumeName(volume, &mut string, &mut needed), STATUS_BUFFER_TOO_SMALL);
            assert_eq!(needed as usize, VOLUME.len() * 2);
            string.MaximumLength = 128;
            assert_eq!(FltGetVolumeName(volume, &mut string, &mut needed), STATUS_SUCCESS);
            assert_eq!(text(&string), VOLUME);
            let mut kind = 0;
            assert_eq!(FltGetFileSystemType(volume.cast(), &mut kind), STATUS_SUCCESS);
            assert_eq!(kind, 2);
            FltObjectDereference(volume.cast());
            FltObjectDereference(volume.cast());
            FltUnregisterFilter(filter);
        }
    });
}

#[test]
fn routines_are_found_by_name() {
    with_kernel(Config { profile: Profile::Win7Sp1, ..Config::default() }, |_, _: &Records| {
        // SAFETY: strings with a NUL.
        unsafe {
            let found = misc::FltGetRoutineAddress(c"FltGetRoutineAddress".as_ptr().cast());
            assert!(std::ptr::eq(found, crate::export::address_of("FLTMGR.SYS", "FltGetRoutineAddress")));
            assert!(
                misc::FltGetRoutineAddress(c"FltGetRequestorProcessIdEx".as_ptr().cast()).is_null(),
                "later"
            );
            assert!(misc::FltGetRoutineAddress(c"FltNothing".as_ptr().cast()).is_null());
        }
    });
}

#[test]
fn a_minifilter_opens_writes_reads_and_closes_a_file() {
    with_kernel(Config::default(), |kernel, records| {
        let (driver, filter) = filter(kernel, "files");
        let units: Vec<u16> = r"\??\C:\log.txt".encode_utf16().collect();
        let bytes = u16::try_from(units.len() * 2).unwrap();
        let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap(),
            ObjectName: &raw const name,
            Attributes: OBJ_KERNEL_HANDLE,
            ..OBJECT_ATTRIBUTES::default()
        };
        let (mut handle, mut object, none) =
            (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        let mut block = IO_STATUS_BLOCK::default();
        // SAFETY: pointers to what each routine documents; the reference is given up once.
        as_test(driver.id, || unsafe {
            let status = FltCreateFileEx(
                filter,
                none,
                &mut handle,
                &mut object,
                FILE_GENERIC_READ | FILE_GENERIC_WRITE,
                &attributes,
                &mut block,
                std::ptr::null(),
                FILE_ATTRIBUTE_NORMAL,
                FILE_SHARE_READ,
                FILE_CREATE,
                FILE_SYNCHRONOUS_IO_NONALERT,
                std::ptr::null(),
                0,
                0,
            );
            assert_eq!(status, STATUS_SUCCESS);
            let mut count = 0;
            let mut text = *b"a line";
            let written =
                FltWriteFile(none, object, &0, 6, text.as_mut_ptr(), 0, &mut count, 0, std::ptr::null_mut());
            assert_eq!((written, count), (STATUS_SUCCESS, 6));
            assert_eq!((*object).CurrentByteOffset, 6);
            let mut back = [0_u8; 16];
            let read =
                FltReadFile(none, object, &2, 16, back.as_mut_ptr(), 0, &mut count, 0, std::ptr::null_mut());
            assert_eq!((read, count, &back[..4]), (STATUS_SUCCESS, 4, &b"line"[..]));
            let mut standard = FILE_STANDARD_INFORMATION::default();
            let at = (&raw mut standard).cast::<u8>();
            let asked = FltQueryInformationFile(none, object, at, 0x18, FileStandardInformation, &mut count);
            assert_eq!((asked, count, standard.EndOfFile), (STATUS_SUCCESS, 0x18, 6));
            let mut directory = 7;
            assert_eq!(misc::FltIsDirectory(object, none, &mut directory), STATUS_SUCCESS);
            assert_eq!(directory, 0);
            assert_eq!(FltClose(handle), STATUS_SUCCESS);
            crate::ob::dereference(object);
            FltUnregisterFilter(filter);
        });
        assert!(records.findings().is_empty(), "{:?}", records.findings());
    });
}

#[test]
fn the_file_of_an_image_says_its_name_only() {
    with_kernel(Config::default(), |_, _: &Records| {
        let file = file("/bin/true");
        let mut buffer = [0_u16; 32];
        let (mut count, none) = (0, std::ptr::null_mut());
        // SAFETY: an open file, and a buffer of that size.
        unsafe {
            let (object, at) = (file.as_file_object(), buffer.as_mut_ptr().cast());
            assert_eq!(
                FltQueryInformationFile(none, object, at, 64, FileNameInformation, &mut count),
                STATUS_SUCCESS
            );
            assert_eq!((count, buffer[0]), (22, 18));
            assert_eq!(String::from_utf16_lossy(&buffer[2..11]), r"\bin\true");
            let short = FltQueryInformationFile(none, object, at, 10, FileNameInformation, &mut count);
            assert_eq!((short, count), (STATUS_BUFFER_OVERFLOW, 10));
            let other = FltQueryInformationFile(none, object, at, 64, FileStandardInformation, &mut count);
            assert_eq!(other, STATUS_INVALID_DEVICE_REQUEST);
        }
    });
}
