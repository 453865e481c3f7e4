//! Drivers that come and go while others watch, or do not go.

use bench::{Bench, Body, Driver, Error, Profile, Record, STATUS_SUCCESS, StopKind, Value};
use event::Family;

use crate::support::driver;

/// Where the first record is for which something holds, after another.
fn after(records: &[Record<'static>], from: usize, what: &str, holds: impl Fn(&Body<'_>) -> bool) -> usize {
    let found = records.iter().skip(from).position(|record| holds(&record.body));
    from + found.unwrap_or_else(|| panic!("no {what} after record {from}: {records:#?}"))
}

fn says(body: &Body<'_>, part: &str) -> bool {
    matches!(body, Body::Debug { text, .. } if text.contains(part))
}

#[test]
fn s_imgcb_2_s_imgcb_3_r_fn_06_r_img_01_a_driver_s_image_is_told_when_it_is_mapped_and_before_its_entry_point()
 {
    for profile in Profile::ALL {
        let mut bench = Bench::new(profile).unwrap();
        let witness = bench.load("witness", driver("witness")).unwrap();
        bench.collect();
        let before = bench.records().len();
        assert!(bench.notices().is_empty(), "{profile}: nobody is told of what was there before");

        let minimal = bench.load("minimal", driver("minimal")).unwrap();
        bench.collect();
        let records = &bench.records()[before..];
        let mapped = after(
            records,
            0,
            "load",
            |body| matches!(body, Body::DriverLoad { name, .. } if name == "minimal"),
        );
        let name = r#"name="\SystemRoot\System32\drivers\minimal.sys""#;
        let told =
            after(records, mapped, "notice", |body| says(body, "witness: image pid=0 ") && says(body, name));
        let recorded = after(
            records,
            told,
            "notification",
            |body| matches!(body, Body::Notification(it) if it.driver == witness.id() && it.family == Family::Image),
        );
        let entered =
            after(records, recorded, "line of DriverEntry", |body| says(body, "minimal: loaded as"));
        let done =
            |body: &Body<'_>| matches!(body, Body::DriverStart { driver, .. } if *driver == minimal.id());
        after(records, entered, "start", done);
        let notices = records.iter().filter(|record| matches!(record.body, Body::Notification(_)));
        assert_eq!(notices.count(), 1, "{profile}: once, and to nobody else");
        let Body::Debug { text, .. } = &records[told].body else { unreachable!() };
        let properties = text.split("properties=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let bits = u32::from_str_radix(properties.trim_start_matches("0x"), 16).unwrap();
        assert_eq!(bits & 0xFFF, 0x503, "{profile}: {text}");

        // That it goes is told to nobody (C.4).
        bench.unload(minimal).unwrap();
        bench.collect();
        assert_eq!(bench.notices().len(), 1, "{profile}");
    }
}

/// One life of a process.
fn life(bench: &mut Bench) -> Result<(), Error> {
    let process = bench.process(r"C:\Windows\System32\whoami.exe").create()?;
    bench.exit_process(&process, STATUS_SUCCESS)
}

#[test]
fn r_unl_06_a_driver_without_an_unload_routine_stays_and_goes_on_being_called() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    let stays = bench.load("stays", driver("stays")).unwrap();
    let error = bench.unload(stays).unwrap_err();
    assert!(matches!(error, Error::Host(_)) && error.stop().is_none(), "{error:?}");
    life(&mut bench).unwrap();
    let lines = bench.debug_lines(stays);
    assert!(
        matches!(lines[..], [create, exit] if create.contains("create") && exit.contains("exit")),
        "{lines:?}"
    );
    bench.finish().unwrap();
    let left: Vec<_> = bench.findings().iter().map(|finding| finding.rule.to_string()).collect();
    assert!(left.is_empty(), "what was not unloaded has left nothing: {left:?}");
}

/// Unloads a driver that leaves a routine of a family behind, and lives a process.
fn left_behind(mode: &str) -> (Bench, Driver, Result<(), Error>) {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.set_value("leaves-routine", "Mode", Value::String(mode.into())).unwrap();
    let driver = bench.load("leaves-routine", driver("leaves-routine")).unwrap();
    bench.unload(driver).unwrap();
    bench.collect();
    let outcome = life(&mut bench);
    (bench, driver, outcome)
}

#[test]
fn s_imgex_10_s_imgcb_14_s_procex_11_r_unl_01_r_unl_02_a_routine_of_each_family_left_behind_is_named_and_then_0xce()
 {
    for (mode, routine, remove) in [
        ("process", "process notify routine", "with Remove TRUE"),
        ("thread", "thread notify routine", "PsRemoveCreateThreadNotifyRoutine"),
        ("image", "image notify routine", "PsRemoveLoadImageNotifyRoutine"),
    ] {
        let (bench, driver, outcome) = left_behind(mode);
        let findings = bench.findings();
        let [finding] = findings[..] else { panic!("{mode}: {findings:#?}") };
        assert_eq!((&*finding.rule, finding.driver), ("L-18", Some(driver.id())), "{mode}");
        for part in [routine, remove, "in DriverUnload, call"] {
            assert!(finding.message.contains(part), "{mode}: no `{part}` in {}", finding.message);
        }
        let predicted = finding.bug_check.unwrap();
        let error = outcome.unwrap_err();
        let stop = error.stop().unwrap();
        assert_eq!((stop.kind, stop.code), (StopKind::BugCheck, 0xCE), "{mode}: {stop:#?}");
        assert_eq!(predicted, (0xCE, stop.parameters), "{mode}: what was predicted has come");
        assert_eq!(stop.parameters[0], stop.parameters[2], "{mode}: it is the instruction itself");
    }
}
