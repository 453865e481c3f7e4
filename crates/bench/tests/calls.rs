//! Every call of a bench that tells drivers something, as a driver sees it; and what calls return that do not work.

use bench::{
    Architecture, Bench, Driver, Error, Family, NTSTATUS, Process, Profile, STATUS_SUCCESS, Subsystem, Value,
};

const WITNESS: &[u8] = include_bytes!("../../../drivers/bin/witness.sys");
const STRUCTURES: &[u8] = include_bytes!("../../../drivers/bin/conformance/structures.sys");
const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");
const BSOD: &[u8] = include_bytes!("../../../drivers/bin/bsod.sys");
const LEAVES_ROUTINE: &[u8] = include_bytes!("../../../drivers/bin/leaves-routine.sys");

/// What the witness prints of `act`, without its name and with ids as the words that `act` gives for them.
fn told(act: impl FnOnce(&mut Bench) -> Result<Vec<(Process, &'static str)>, Error>) -> Vec<String> {
    let mut bench = Bench::new(Profile::Win11_24H2).expect("a host starts");
    let shell = bench.shell().expect("it is there");
    let driver = bench.load_bytes("witness", WITNESS).expect("the driver loads");
    let before = bench.debug_lines(driver).len();
    let mut names = act(&mut bench).expect("it works");
    names.push((shell, "shell"));
    let lines = bench.debug_lines(driver);
    let word = |word: &str| {
        let Some((key, value)) = word.split_once('=') else { return word.to_owned() };
        let (id, rest) = value.split_once('.').map_or((value, ""), |(id, _)| (id, ".…"));
        let name = names.iter().find(|(process, _)| process.id().to_string() == id);
        match (key, name) {
            ("tid", _) => "tid".to_owned(),
            ("pid" | "ppid" | "creator" | "by", Some((_, name))) => format!("{key}={name}{rest}"),
            _ => word.to_owned(),
        }
    };
    let line = |line: &&str| {
        line.strip_prefix("witness: ").unwrap_or(line).split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    lines[before..].iter().map(line).filter(|line| !line.starts_with("FAIL")).collect()
}

fn starting<'a>(lines: &'a [String], word: &str) -> Vec<&'a str> {
    lines.iter().filter(|line| line.split(' ').next() == Some(word)).map(String::as_str).collect()
}

fn status(bits: u32) -> Option<NTSTATUS> {
    Some(NTSTATUS::from_u32(bits))
}

#[test]
fn processes_have_an_image_a_command_line_a_parent_and_a_creator() {
    let lines = told(|bench| {
        let word = bench.process(r"C:\word.exe").command_line("word /q").create()?;
        let broker = bench.process(r"C:\broker.exe").create()?;
        let child = bench.process(r"C:\child.exe").parent(word).creator(broker).create()?;
        Ok(vec![(word, "word"), (broker, "broker"), (child, "child")])
    });
    assert_eq!(
        starting(&lines, "create"),
        [
            r#"create pid=word ppid=shell creator=shell.… image="\??\C:\word.exe" cmd="word /q""#,
            r#"create pid=broker ppid=shell creator=shell.… image="\??\C:\broker.exe" cmd=""C:\broker.exe"""#,
            r#"create pid=child ppid=word creator=broker.… image="\??\C:\child.exe" cmd=""C:\child.exe"""#,
        ]
    );
}

#[test]
fn processes_need_not_have_names_nor_be_announced_at_once_nor_at_all() {
    let lines = told(|bench| {
        let nameless = bench.process(r"C:\x.exe").without_name().without_command_line().create()?;
        let inserter = bench.process(r"C:\inserter.exe").existing().create()?;
        let hollow = bench.process(r"C:\hollow.exe").from_section().create()?;
        bench.create_thread(&hollow, inserter)?;
        let both = bench.process(r"C:\both.exe").first_thread_by(inserter).suspended().create()?;
        let clone = bench.process("").clone_of(&nameless).create()?;
        let pico = bench.process("/bin/sh").subsystem(Subsystem::Wsl).create()?;
        let again = bench.process(r"C:\again.exe").create()?;
        bench.exit_process(&again, STATUS_SUCCESS)?;
        let reused = bench.process(r"C:\reused.exe").id(again.id().0).create()?;
        let names = [
            (nameless, "nameless"),
            (inserter, "inserter"),
            (hollow, "hollow"),
            (both, "both"),
            (clone, "clone"),
            (pico, "pico"),
            (reused, "reused"),
        ];
        Ok(names.to_vec())
    });
    let created: Vec<_> =
        starting(&lines, "create").into_iter().map(|line| &line[..line.find(" cmd").unwrap()]).collect();
    assert_eq!(
        created,
        [
            r#"create pid=nameless ppid=shell creator=shell.… image="(null)""#,
            r#"create pid=hollow ppid=shell creator=inserter.… image="\hollow.exe""#,
            r#"create pid=both ppid=shell creator=inserter.… image="\both.exe""#,
            r#"create pid=reused ppid=shell creator=shell.… image="\??\C:\again.exe""#,
            r#"create pid=reused ppid=shell creator=shell.… image="\??\C:\reused.exe""#,
        ],
        "nobody is told of what was there, of a clone, nor without Ex2 of a pico process; what is made from a section has a name \
         on its volume"
    );
}

#[test]
fn threads_are_created_by_their_process_or_by_another_and_exit_with_a_status() {
    let lines = told(|bench| {
        let own = bench.process(r"C:\own.exe").create()?;
        let other = bench.process(r"C:\other.exe").create()?;
        let first = bench.thread(&own).create()?;
        bench.thread(&own).by(other).create()?;
        bench.exit_thread(&first, NTSTATUS::from_u32(0xC000_0005))?;
        bench.exit_process(&own, NTSTATUS::from_u32(7))?;
        Ok(vec![(own, "own"), (other, "other")])
    });
    let of_own =
        |word| starting(&lines, word).into_iter().filter(|line| line.contains("pid=own")).collect::<Vec<_>>();
    assert_eq!(
        of_own("thread"),
        ["thread pid=own tid by=shell.…", "thread pid=own tid by=own.…", "thread pid=own tid by=other.…"]
    );
    let exit = |status: &str| format!("thread-exit pid=own tid status={status}");
    assert_eq!(of_own("thread-exit"), [exit("0xC0000005"), exit("0x00000007"), exit("0x00000007")]);
    assert_eq!(of_own("exit"), ["exit pid=own tid status=0x00000007"]);
}

#[test]
fn images_are_mapped_in_every_way() {
    let lines = told(|bench| {
        let own = bench.process(r"C:\own.exe").create()?;
        let other = bench.process(r"C:\other.exe").create()?;
        let view = bench.image(&own, r"C:\a.dll").base(0x1_8000_0000).size(0x3001).signature(4, 1).map()?;
        bench.unmap_image(&view)?;
        bench.image(&own, r"C:\a.dll").base(0x1_8000_0000).size(0x3001).map()?;
        bench.image(&own, r"C:\a.dll").base(0x2_8000_0000).partial().map()?;
        bench.image(&own, r"C:\remote.dll").base(0x3_8000_0000).by(other).map()?;
        bench.image(&own, "").base(0x4_8000_0000).without_name().map()?;
        bench.image(&own, r"C:\none.dll").no_execute().map()?;
        bench.image(&own, r"C:\data.dll").data().map()?;
        bench.image(&own, r"C:\arm.dll").conflicting().map()?;
        bench.kernel_image(r"\SystemRoot\System32\drivers\other.sys").base(0xFFFF_F802_0000_0000).load()?;
        Ok(vec![(own, "own"), (other, "other")])
    });
    let mapped: Vec<_> =
        starting(&lines, "image").into_iter().filter(|line| !line.contains(r"\System32\ntdll.dll")).collect();
    let own = |base: &str, size: &str, properties: &str, name: &str| {
        format!(r#"image pid=own tid base=0x{base} size=0x{size} properties=0x{properties} name="{name}""#)
    };
    let dll = r"\Device\HarddiskVolume1\a.dll";
    assert_eq!(
        mapped[2..],
        [
            own("180000000", "4000", "14403", dll),
            own("180000000", "4000", "403", dll),
            own("280000000", "20000", "80403", dll),
            own("380000000", "20000", "403", r"\Device\HarddiskVolume1\remote.dll"),
            own("480000000", "20000", "403", "(null)"),
            r#"image pid=0 tid base=0xfffff80200000000 size=0x20000 properties=0x503 name="\SystemRoot\System32\drivers\other.sys""#
                .to_owned(),
        ],
        "nobody is told of an unmapping, of data, of an image without execution, and unasked of another architecture"
    );
}

#[test]
fn r_wow_03_an_image_of_another_architecture_is_for_who_asks_for_it() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    let asks = bench.load_bytes("structures", STRUCTURES).unwrap();
    let silent = bench.load_bytes("witness", WITNESS).unwrap();
    let process = bench.process(r"C:\x.exe").create().unwrap();
    let before = bench.notices().len();
    bench.image(&process, r"C:\arm.dll").conflicting().map().unwrap();
    let of = |bench: &Bench, driver: Driver| {
        let notices = bench.notices();
        notices[before..]
            .iter()
            .filter(|notice| notice.driver == driver.id() && notice.family == Family::Image)
            .count()
    };
    assert_eq!((of(&bench, asks), of(&bench, silent)), (1, 0));
}

#[test]
fn what_does_not_work_has_the_status_that_windows_returns() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    let driver = bench.load_bytes("sensor", SENSOR).unwrap();
    assert_eq!(bench.load_bytes("sensor", SENSOR).unwrap_err().status(), status(0xC000_010E));
    assert_eq!(bench.load_bytes("text", b"no driver").unwrap_err().status(), status(0xC000_007B));
    bench.set_value("bsod", "Mode", Value::String("fail-at-entry".into())).unwrap();
    let entry = bench.load_bytes("bsod", BSOD).unwrap_err();
    assert!(entry.status().is_some_and(|status| status.is_error()), "DriverEntry's own: {entry}");
    bench.unload(driver).unwrap();
    assert_eq!(bench.unload(driver).unwrap_err().status(), status(0xC000_0034));

    let process = bench.process(r"C:\x.exe").create().unwrap();
    let taken = bench.process(r"C:\y.exe").id(process.id().0).create().unwrap_err();
    assert_eq!(taken.status(), status(0xC000_000D));
    let thread = bench.first_thread(&process).unwrap();
    bench.exit_thread(&thread, STATUS_SUCCESS).unwrap();
    assert_eq!(bench.exit_thread(&thread, STATUS_SUCCESS).unwrap_err().status(), status(0xC000_004B));
    assert_eq!(bench.map_image(&process, r"C:\x.dll").unwrap_err().status(), status(0xC000_010A));
    assert_eq!(bench.open_by(process, r"\Device\X", 0).unwrap_err().status(), status(0xC000_004B));
    assert_eq!(bench.first_thread(&process).unwrap_err().status(), status(0xC000_000B));
}

#[test]
fn what_came_of_it_can_be_asked_for() {
    let mut bench = Bench::new(Profile::Win11_24H2).unwrap();
    bench.set_value("sensor", "Deny", Value::String("*evil.exe".into())).unwrap();
    let sensor = bench.load_bytes("sensor", SENSOR).unwrap();
    let leaves = bench.load_bytes("leaves-routine", LEAVES_ROUTINE).unwrap();
    bench.process(r"C:\evil.exe").create().unwrap_err();
    let notices = bench.notices();
    let refused =
        notices.iter().find(|notice| notice.driver == sensor.id() && notice.status.is_some()).unwrap();
    assert_eq!((refused.family, refused.status), (Family::Process, Some(bench::STATUS_ACCESS_DENIED)));
    assert_eq!(bench.verdicts()[0].driver, Some(sensor.id()));
    assert!(bench.debug_lines(sensor).iter().any(|line| line.starts_with("refuse pid=")));
    assert!(bench.findings().is_empty() && bench.leaks().is_empty() && bench.stop().is_none());

    bench.unload(leaves).unwrap();
    assert_eq!(bench.findings()[0].rule, "L-18");
    assert_eq!(bench.leaks()[0].driver, leaves.id());
    let error = bench.process(r"C:\x.exe").architecture(Architecture::X86).create().unwrap_err();
    assert_eq!(error.stop().map(|stop| stop.code), Some(0xCE));
    assert_eq!(bench.stop(), error.stop());
}
