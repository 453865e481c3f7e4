//! When, where and in which context routines are called, on every profile.

use callboard::Profile;
use callboard::bench::Process;
use event::{Architecture, Conditions};

use super::suite::{EXIT_STATUS, Suite};

fn exe(case: &str) -> String {
    format!(r"C:\Conformance\conformance-{case}.exe")
}

fn dll(case: &str) -> String {
    format!(r"C:\Conformance\conformance-{case}.dll")
}

fn create(suite: &mut Suite, case: &str) -> Process {
    suite.bench.process(&exe(case)).create().unwrap()
}

fn exit(suite: &mut Suite, process: &Process) {
    suite.bench.exit_process(process, EXIT_STATUS).unwrap();
}

/// A process that maps images of all kinds, and makes a thread.
fn plain(suite: &mut Suite) {
    let process = create(suite, "plain");
    suite.bench.map_image(&process, &dll("once")).unwrap();
    suite.bench.map_image(&process, &dll("again")).unwrap();
    let second = suite.bench.map_image(&process, &dll("again")).unwrap();
    suite.bench.unmap_image(&second).unwrap();
    suite.bench.map_image(&process, &dll("again")).unwrap();
    suite.bench.image(&process, &dll("noexec")).no_execute().map().unwrap();
    suite.bench.image(&process, &dll("data")).data().map().unwrap();
    let thread = suite.bench.create_thread(&process, process).unwrap();
    suite.bench.exit_thread(&thread, EXIT_STATUS).unwrap();
    exit(suite, &process);
}

/// Processes in which others take a hand.
fn others(suite: &mut Suite) {
    let shell = suite.bench.shell().unwrap();
    let remote = create(suite, "remote");
    suite.bench.image(&remote, &dll("remote")).by(shell).map().unwrap();
    suite.bench.create_thread(&remote, shell).unwrap();
    exit(suite, &remote);

    let parent = suite.bench.process(r"C:\Windows\System32\svchost.exe").existing().create().unwrap();
    let section = suite.bench.process(&exe("section")).parent(parent).first_thread_by(shell);
    let section = section.create().unwrap();
    exit(suite, &section);
    suite.phase(4);
    exit(suite, &parent);
    suite.phase(5);
    let never_ran = suite.bench.process(r"C:\Windows\System32\notepad.exe").from_section().create().unwrap();
    exit(suite, &never_ran);
    suite.phase(6);

    let cloned = create(suite, "cloned");
    let clone = suite.bench.process(&exe("cloned")).clone_of(&cloned).create().unwrap();
    exit(suite, &clone);
    exit(suite, &cloned);
}

fn suspended(suite: &mut Suite) {
    suite.phase(1);
    let process = suite.bench.process(&exe("suspended")).suspended().create().unwrap();
    suite.phase(2);
    suite.bench.resume(&process).unwrap();
    exit(suite, &process);
    suite.phase(3);
}

/// Processes that the driver terminates while it waits: in its image routine, and in its dispatch routine.
fn terminated(suite: &mut Suite) {
    create(suite, "doomed");
    let asks = create(suite, "asks");
    let file = suite.bench.open_by(asks, r"\\.\ConformanceContext", 0xC000_0000).unwrap();
    let done = suite.bench.ioctl(&file, 0x22_2004, &7_u32.to_le_bytes(), 0).unwrap();
    assert_eq!(done.status, callboard::STATUS_SUCCESS);
    assert!(suite.bench.close(file).is_err(), "whose file it was has exited");
}

/// Processes of which routines are told in an unusual way.
fn unusual(suite: &mut Suite) {
    let wow = suite.bench.process(&exe("wow")).architecture(Architecture::X86).create().unwrap();
    exit(suite, &wow);
    suite.bench.set_conditions(Conditions { apc_level: true, ..Conditions::default() });
    let apc = create(suite, "apc");
    exit(suite, &apc);
    suite.bench.set_conditions(Conditions { all_apcs_disabled: true, ..Conditions::default() });
    let guarded = create(suite, "guarded");
    exit(suite, &guarded);
    suite.bench.set_conditions(Conditions::default());
}

/// Everything that `context.c` asks for.
pub(super) fn act(suite: &mut Suite) {
    plain(suite);
    others(suite);
    suspended(suite);
    terminated(suite);
    unusual(suite);
    suite.bench.load_kernel_image(r"\SystemRoot\System32\drivers\conformance-kernel.sys").unwrap();
}

#[test]
fn r_ord_01_r_ctx_01_r_img_01_context_conforms_on_every_profile() {
    for profile in Profile::ALL {
        let mut suite = Suite::load("context", profile, |_| {});
        act(&mut suite);
        let said = suite.end();
        said.passes(380).covers(&[
            "R-ORD-01",
            "R-EXIT-04",
            "R-ORD-02",
            "R-ORD-03",
            "R-ORD-05",
            "R-ORD-04",
            "R-ORD-06",
            "R-CTX-01",
            "R-CTX-03",
            "R-CTX-04",
            "R-CTX-05",
            "R-CTX-06",
            "R-IMG-01",
            "R-IMG-02",
            "R-IMG-03",
            "R-WOW-01",
            "R-WOW-02",
            "R-PCI-06",
            "R-EXIT-01",
            "R-EXIT-02",
            "R-EXIT-03",
            "R-RM-07",
            "R-RM-09",
            "R-RACE-03",
            "R-RACE-08",
            "S-IMGCB-1",
            "S-IMGCB-2",
            "S-IMGCB-3",
            "S-IMGCB-7",
            "S-IMGCB-8",
            "S-IMGCB-16",
            "S-IMGCB-17",
            "S-IMGCB-18",
            "S-PROCEX-1",
            "S-PROCEX-2",
            "S-PROCEX-12",
            "S-PROCEX-13",
            "S-PROCEX-14",
        ]);
        if profile >= Profile::Win10_1703 {
            said.passes(475).covers(&["R-EXIT-05", "R-REG-15", "R-REG-16"]);
        }
        let missed: Vec<_> = said.of("skip").filter(|line| line.contains("was not started")).collect();
        assert!(missed.is_empty(), "{profile}: {missed:#?}");
        assert_eq!(said.note("exits-without-create"), 2);
    }
}
