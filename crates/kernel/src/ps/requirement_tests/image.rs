//! What an image routine is given, and which images it hears of (R-II, R-FN, R-IMG, R-WOW).

use super::*;
use crate::flt::name::{FltGetFileNameInformationUnsafe, FltReleaseFileNameInformation};
use crate::ps::driver_mapped;

/// The structure around what a routine is given.
fn extended(info: &mut IMAGE_INFO) -> &IMAGE_INFO_EX {
    // SAFETY: what R-II-03 promises, during the call.
    unsafe { &*(&raw mut *info).byte_sub(8).cast::<IMAGE_INFO_EX>() }
}

#[test]
fn r_ii_03_the_structure_lies_eight_bytes_into_the_larger_one() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 0, |slot, _, _, info| {
            let flag = info.Properties & IMAGE_PROPERTIES_EXTENDED_INFO_PRESENT != 0;
            let extended = extended(info);
            see(format!("{slot} {flag} {:#x} {}", extended.Size, extended.FileObject.is_null()));
        });
        map(kernel, CREATOR, an_image(100));
        assert_eq!(seen(), ["0 true 0x38 false", "1 true 0x38 false"]);
    });
}

#[test]
fn r_ii_01_properties_base_and_size_are_the_images() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 0, |slot, _, process, info| {
            let IMAGE_INFO { Properties, ImageBase, ImageSelector, ImageSize, ImageSectionNumber } = *info;
            see(format!(
                "{slot} {process} {Properties:#x} {ImageBase:p} {ImageSelector} {ImageSize:#x} {ImageSectionNumber}"
            ));
        });
        map(kernel, CREATOR, an_image(100));
        map(kernel, CREATOR, Image { partial: true, ..an_image(100) });
        let of_user =
            |properties| [0, 1].map(|slot| format!("{slot} 100 {properties} 0x50000000 0 0x3000 0"));
        assert_eq!(seen(), [of_user("0x403"), of_user("0x80403")].concat());
    });
}

#[test]
fn r_ii_05_all_routines_are_given_the_same_structure() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 0, |slot, _, _, info| {
            if slot == 0 {
                info.ImageSelector = 7;
            }
            see(format!("{:p} {}", &raw const *info, info.ImageSelector));
        });
        map(kernel, CREATOR, an_image(100));
        let both = seen();
        assert!(both[0].ends_with(" 7"));
        assert_eq!(both[0], both[1]);
        map(kernel, CREATOR, Image { name: None, ..an_image(100) });
        assert!(seen()[1].ends_with(" 7"), "written again by the first, in a structure made anew");
    });
}

#[test]
fn r_fn_01_a_name_that_is_not_known_is_null() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 0, |slot, name, process, info| {
            see(format!("{slot} {} {process} {}", text(name), extended(info).FileObject.is_null()));
        });
        map(kernel, CREATOR, Image { name: None, ..an_image(100) });
        assert_eq!(seen(), ["0 NULL 100 true", "1 NULL 100 true"]);
    });
}

/// What a filter calls the file behind a file object.
fn name_of_file(info: &mut IMAGE_INFO) -> String {
    let options = FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT;
    let mut information = std::ptr::null_mut();
    // SAFETY: routines called as a driver would, with the file object it was given; the reference is given up.
    unsafe {
        let (file, none) = (extended(info).FileObject, std::ptr::null_mut());
        let status = FltGetFileNameInformationUnsafe(file, none, options, &mut information);
        if !status.is_success() {
            return status.to_string();
        }
        let name = crate::rtl::text_of(&(*information).Name);
        FltReleaseFileNameInformation(information);
        name
    }
}

#[test]
fn r_fn_05_r_ii_04_the_name_may_be_stale_and_the_file_object_leads_to_the_file() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 0, |slot, name, _, info| {
            let file = name_of_file(info);
            if slot == 0 {
                see(format!("{} is {file}", text(name)));
            }
        });
        create(kernel, a_process(200));
        let old = Some(Name::from_unix("/tmp/old"));
        map(kernel, only_thread(200), Image { name: old.clone(), ..an_image(200) });
        let file = Some(Name::from_unix("/tmp/new"));
        map(kernel, only_thread(200), Image { name: old, file, ..an_image(200) });
        let (old, new) = (r"\Device\HarddiskVolume1\tmp\old", r"\Device\HarddiskVolume1\tmp\new");
        assert_eq!(seen(), [format!("{old} is {old}"), format!("{old} is {new}")]);
    });
}

#[test]
fn r_fn_06_r_img_01_a_driver_has_the_name_it_is_loaded_by_and_process_0() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 0, |slot, name, process, info| {
            see(format!("{slot} {} {process} {:#x} {:p}", text(name), info.Properties, info.ImageBase));
        });
        let loader = crate::ps::thread::current().unwrap();
        driver_mapped(kernel, loader, 0x1234_0000, 0x6000, r"\SystemRoot\System32\drivers\x.sys");
        let line = r" \SystemRoot\System32\drivers\x.sys 0 0x503 0x12340000";
        assert_eq!(seen(), [format!("0{line}"), format!("1{line}")]);
    });
}

/// The letters of a file's name, in the order in which routines hear of them.
fn names_of(kernel: &Kernel, path: &str) -> Vec<String> {
    watch_processes(kernel, |slot, process, _, info| {
        if let (0, Some(info)) = (slot, info) {
            // SAFETY: valid during the call; both are there for this process.
            let (image, line, file) =
                unsafe { (&*info.ImageFileName, &*info.CommandLine, &*info.FileObject) };
            see(crate::rtl::text_of(image));
            see(crate::rtl::text_of(line));
            see(crate::rtl::text_of(&file.FileName));
            // SAFETY: the process is valid during the call, and its name has 15 letters at most.
            let short = unsafe {
                let short = crate::ps::query::PsGetProcessImageFileName(process);
                std::ffi::CStr::from_ptr(short.cast()).to_string_lossy()
            };
            see(short);
        }
    });
    watch_images(kernel, 0, |slot, name, _, info| {
        if slot == 0 {
            // SAFETY: valid during the call; the image has a file.
            let file = unsafe { &*extended(info).FileObject };
            see(format!("{} of {}", text(name), crate::rtl::text_of(&file.FileName)));
        }
    });
    let name = || Some(Name::from_nt(path));
    let process =
        Process { image: name(), command_line: Some(format!("\"{path}\" /Q").into()), ..a_process(200) };
    create(kernel, process);
    map(kernel, only_thread(200), Image { name: name(), ..an_image(200) });
    map(kernel, only_thread(200), Image { name: name(), base: 0x6000_0000, ..an_image(200) });
    let loader = crate::ps::thread::current().unwrap();
    driver_mapped(kernel, loader, 0x1234_0000, 0x6000, r"\SystemRoot\System32\Drivers\MiXeD.SYS");
    seen()
}

#[test]
fn r_fn_07_names_keep_the_case_of_their_letters_under_every_profile() {
    const ON_VOLUME: &str = r"\WinDOWS\System32\MiXeD.eXe";
    for profile in Profile::ALL {
        crate::testing::with_kernel(Config { profile, ..Config::default() }, |kernel, _| {
            seen();
            let device = format!(r"\Device\HarddiskVolume1{ON_VOLUME}");
            let later = if profile < Profile::Win10_1507 { ON_VOLUME } else { &device };
            let expected = [
                format!(r"\??\c:{ON_VOLUME}"),
                format!("\"c:{ON_VOLUME}\" /Q"),
                ON_VOLUME.to_owned(),
                "MiXeD.eXe".to_owned(),
                format!("{device} of {ON_VOLUME}"),
                format!("{later} of {ON_VOLUME}"),
                r"\SystemRoot\System32\Drivers\MiXeD.SYS of \SystemRoot\System32\Drivers\MiXeD.SYS"
                    .to_owned(),
            ];
            assert_eq!(names_of(kernel, &format!("c:{ON_VOLUME}")), expected, "{profile}");
        });
    }
}

unsafe extern "win64" fn refuses(_: usize, _: usize, _: usize) -> u64 {
    0xC000_0022
}

#[test]
fn r_img_03_what_an_image_routine_returns_means_nothing() {
    with_kernel(|kernel, _| {
        kernel.ps.tables.image.register(request(address!(refuses), ImageFlavour::Plain, 0)).unwrap();
        watch_images(kernel, 0, |slot, _, _, _| see(slot.to_string()));
        create(kernel, a_process(200));
        let mapped = event(only_thread(200), 3, EventKind::ImageLoad(an_image(200)));
        assert_eq!(kernel.deliver_event(&mapped), None);
        assert_eq!(seen(), ["0", "1"]);
        assert_eq!(look_up(200).0, STATUS_SUCCESS);
    });
}

#[test]
fn r_wow_02_32_bit_images_of_a_32_bit_process_are_told_to_all() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 1, |slot, _, _, info| see(format!("{slot} {:#x}", info.Properties)));
        let process = Process { architecture: Architecture::X86, ..a_process(200) };
        create(kernel, process);
        map(kernel, only_thread(200), Image { architecture: Architecture::X86, ..an_image(200) });
        assert_eq!(seen(), ["0 0x403", "1 0x403"]);
    });
}

#[test]
fn r_wow_03_conflicting_images_are_told_to_those_who_asked() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 1, |slot, _, _, info| see(format!("{slot} {:#x}", info.Properties)));
        map(kernel, CREATOR, Image { conflicting: true, ..an_image(100) });
        assert_eq!(seen(), ["1 0xc03"]);
    });
}

#[test]
fn s_imgcb_7_s_imgcb_8_the_id_is_the_process_mapped_into() {
    with_kernel(|kernel, _| {
        watch_images(kernel, 0, |slot, _, process, _| see(format!("{slot} {process}")));
        create(kernel, a_process(200));
        map(kernel, CREATOR, an_image(200));
        map(kernel, CREATOR, an_image(0));
        assert_eq!(seen(), ["0 200", "1 200", "0 0", "1 0"]);
    });
}
