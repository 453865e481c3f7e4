<#
.SYNOPSIS
    Runs the conformance suites on real Windows and shows their lines.

.DESCRIPTION
    Loads each suite's unchanged .sys file with sc.exe, leads it through its phases by DeviceIoControl, starts the
    processes that it asks for, and prints its log. Ends with 1 if a check failed.

    Needs an administrator, a test machine with test signing on and Secure Boot off (see README.md), and drivers that
    were signed there. What a script cannot bring about (a process made from a section, a clone, a pico process, thread
    routines at APC_LEVEL, images without a name) is left out; the suite says so in a skip line.

.EXAMPLE
    .\run-on-windows.ps1 -Drivers C:\conformance
#>
param(
    # The folder that holds the signed .sys files.
    [string] $Drivers = "$PSScriptRoot\..\bin\conformance",
    # Where the programs are made.
    [string] $Programs = "C:\Conformance",
    [string[]] $Suites = @("registration", "registration-nointegrity", "structures", "context", "races")
)
$ErrorActionPreference = "Stop"

Add-Type -TypeDefinition @"
using System;
using System.ComponentModel;
using System.Runtime.InteropServices;

public static class Conformance
{
    [DllImport("kernel32", CharSet = CharSet.Unicode, SetLastError = true)]
    static extern IntPtr CreateFileW(string name, uint access, uint share, IntPtr security, uint how, uint flags, IntPtr template);

    [DllImport("kernel32", SetLastError = true)]
    static extern bool DeviceIoControl(IntPtr file, uint code, byte[] input, int inputBytes, byte[] output, int outputBytes,
                                       out int returned, IntPtr overlapped);

    [DllImport("kernel32")]
    static extern bool CloseHandle(IntPtr handle);

    [StructLayout(LayoutKind.Sequential)]
    struct ProcessInformation { public IntPtr Process, Thread; public uint ProcessId, ThreadId; }

    [StructLayout(LayoutKind.Sequential, CharSet = CharSet.Unicode)]
    struct StartupInfo
    {
        public int Size; public IntPtr Reserved, Desktop, Title;
        public uint X, Y, XSize, YSize, XChars, YChars, Fill, Flags; public ushort Show, ReservedSize;
        public IntPtr ReservedBytes, Input, Output, Error;
    }

    [StructLayout(LayoutKind.Sequential)]
    struct StartupInfoEx { public StartupInfo Info; public IntPtr Attributes; }

    [DllImport("kernel32", CharSet = CharSet.Unicode, SetLastError = true)]
    static extern bool CreateProcessW(string path, System.Text.StringBuilder line, IntPtr process, IntPtr thread, bool inherit,
                                      uint flags, IntPtr environment, string folder, ref StartupInfoEx startup,
                                      out ProcessInformation made);

    [DllImport("kernel32", SetLastError = true)]
    static extern bool InitializeProcThreadAttributeList(IntPtr list, int count, int flags, ref IntPtr size);

    [DllImport("kernel32", SetLastError = true)]
    static extern bool UpdateProcThreadAttribute(IntPtr list, uint flags, IntPtr attribute, ref IntPtr value, IntPtr size,
                                                 IntPtr previous, IntPtr returned);

    [DllImport("kernel32", SetLastError = true)]
    static extern IntPtr OpenProcess(uint access, bool inherit, uint id);

    [DllImport("kernel32")]
    static extern uint ResumeThread(IntPtr thread);

    [DllImport("kernel32")]
    static extern uint WaitForSingleObject(IntPtr handle, uint milliseconds);

    const uint Suspended = 0x4, ExtendedStartup = 0x80000, CreateProcess = 0x80;
    static readonly IntPtr ParentProcess = (IntPtr)0x20000;

    public static byte[] Control(string device, uint code, byte[] input, int most)
    {
        IntPtr file = CreateFileW("\\\\.\\" + device, 0xC0000000, 3, IntPtr.Zero, 3, 0, IntPtr.Zero);
        if (file == (IntPtr)(-1))
            throw new Win32Exception();
        try
        {
            byte[] output = new byte[most];
            int returned;
            if (!DeviceIoControl(file, code, input, input.Length, output, most, out returned, IntPtr.Zero))
                throw new Win32Exception();
            Array.Resize(ref output, returned);
            return output;
        }
        finally { CloseHandle(file); }
    }

    // Starts a program, and waits for its end. `atRest` is called between creation and resumption.
    // Gives the error of a creation that failed, 0 otherwise.
    public static int Run(string path, uint parent, Action atRest)
    {
        var startup = new StartupInfoEx();
        startup.Info.Size = Marshal.SizeOf(typeof(StartupInfoEx));
        IntPtr size = IntPtr.Zero, owner = IntPtr.Zero;
        if (parent != 0)
        {
            InitializeProcThreadAttributeList(IntPtr.Zero, 1, 0, ref size);
            startup.Attributes = Marshal.AllocHGlobal(size);
            InitializeProcThreadAttributeList(startup.Attributes, 1, 0, ref size);
            owner = OpenProcess(CreateProcess, false, parent);
            UpdateProcThreadAttribute(startup.Attributes, 0, ParentProcess, ref owner, (IntPtr)IntPtr.Size, IntPtr.Zero, IntPtr.Zero);
        }
        ProcessInformation made;
        var line = new System.Text.StringBuilder("\"" + path + "\"");
        if (!CreateProcessW(path, line, IntPtr.Zero, IntPtr.Zero, false, Suspended | ExtendedStartup, IntPtr.Zero, null,
                            ref startup, out made))
            return Marshal.GetLastWin32Error();
        if (atRest != null)
            atRest();
        ResumeThread(made.Thread);
        WaitForSingleObject(made.Process, 0xFFFFFFFF);
        CloseHandle(made.Thread);
        CloseHandle(made.Process);
        return 0;
    }
}
"@

$Result = 0x222000
$Phase = 0x222004
$Lines = 0x222008

# A suite's device, and the processes that it asks for.
$Devices = @{
    "registration" = "ConformanceRegistration"; "registration-nointegrity" = "ConformanceRegistration"
    "structures" = "ConformanceStructures"; "context" = "ConformanceContext"; "races" = "ConformanceRaces"
}
$Cases = @{
    "structures" = "plain", "refuse", "own", "two", "relent", "inform", "warn", "MiXeD"
    "context" = "plain", "wow", "doomed", "asks"
    "races" = , "race" * 50
}

function Get-Log([string] $device) {
    $text = ""
    while ($true) {
        $part = [Conformance]::Control($device, $Lines, [BitConverter]::GetBytes([uint32] $text.Length), 4096)
        if ($part.Length -eq 0) { return $text }
        $text += [Text.Encoding]::ASCII.GetString($part)
    }
}

function Set-Phase([string] $device, [uint32] $number) {
    [void] [Conformance]::Control($device, $Phase, [BitConverter]::GetBytes($number), 0)
}

# Compiles the program for one processor, and copies it to the names of its cases.
function New-Program([string] $platform, [string[]] $names) {
    $compiled = "$Programs\compiled-$platform.exe"
    $csc = Join-Path ([Runtime.InteropServices.RuntimeEnvironment]::GetRuntimeDirectory()) "csc.exe"
    & $csc /nologo /platform:$platform "/out:$compiled" "$PSScriptRoot\program.cs"
    if ($LASTEXITCODE -ne 0) { throw "program.cs was not compiled" }
    foreach ($name in $names) { Copy-Item $compiled "$Programs\conformance-$name.exe" -Force }
}

New-Item -ItemType Directory -Force $Programs | Out-Null
New-Program x64 ($Cases.Values | ForEach-Object { $_ } | Where-Object { $_ -ne "wow" } | Sort-Object -Unique)
New-Program x64 "spoofed", "suspended"
New-Program x86 "wow"
# Any small DLL will do; one that Windows signed is a signed image.
foreach ($name in "once", "again", "noexec", "data", "signed", "MiXeD") {
    Copy-Item "$env:SystemRoot\System32\version.dll" "$Programs\conformance-$name.dll" -Force
}

$failed = 0
foreach ($suite in $Suites) {
    $service = "conformance-$suite"
    $device = $Devices[$suite]
    & sc.exe create $service type= kernel binPath= (Resolve-Path "$Drivers\$suite.sys").Path | Out-Null
    & sc.exe start $service | Out-Null
    if ($LASTEXITCODE -ne 0) {
        Write-Output "conformance: FAIL - ${suite}.c:0 not loaded (got $LASTEXITCODE, expected 0)"
        $failed++
        & sc.exe delete $service | Out-Null
        continue
    }
    foreach ($case in $Cases[$suite]) { [void] [Conformance]::Run("$Programs\conformance-$case.exe", 0, $null) }
    if ($suite -eq "structures") {
        $parent = (Get-Process explorer | Select-Object -First 1).Id
        [void] [Conformance]::Run("$Programs\conformance-spoofed.exe", $parent, $null)
    }
    if ($suite -eq "context") {
        Set-Phase $device 1
        [void] [Conformance]::Run("$Programs\conformance-suspended.exe", 0, { Set-Phase $device 2 })
        Set-Phase $device 3
    }
    Set-Phase $device 0
    Get-Log $device
    $numbers = [Conformance]::Control($device, $Result, [byte[]] @(), 16)
    $failures = [BitConverter]::ToUInt32($numbers, 4)
    $failed += $failures
    & sc.exe stop $service | Out-Null
    & sc.exe delete $service | Out-Null
}
exit [int] ($failed -ne 0)
