// The program that the suites watch on real Windows: what it does is chosen by the name it is started under.
//
// run-on-windows.ps1 compiles it and copies it to conformance-plain.exe and so on. It ends with exit status 42.
using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using Microsoft.Win32.SafeHandles;

static class Program
{
    const uint PageReadonly = 0x02, SectionImage = 0x01000000, SectionImageNoExecute = 0x11000000;
    const uint MapRead = 0x04, MapExecute = 0x20;

    [DllImport("kernel32", CharSet = CharSet.Unicode, SetLastError = true)]
    static extern IntPtr LoadLibraryW(string path);

    [DllImport("kernel32", SetLastError = true)]
    static extern bool FreeLibrary(IntPtr module);

    [DllImport("kernel32", SetLastError = true)]
    static extern IntPtr CreateFileMappingW(SafeHandle file, IntPtr security, uint protection, uint high, uint low, IntPtr name);

    [DllImport("kernel32", SetLastError = true)]
    static extern IntPtr MapViewOfFile(IntPtr mapping, uint access, uint high, uint low, UIntPtr bytes);

    static void Map(string path, uint kind)
    {
        using (var file = File.OpenRead(path))
        {
            IntPtr mapping = CreateFileMappingW(file.SafeFileHandle, IntPtr.Zero, PageReadonly | kind, 0, 0, IntPtr.Zero);
            if (mapping != IntPtr.Zero)
                MapViewOfFile(mapping, MapRead, 0, 0, UIntPtr.Zero);
        }
    }

    static void Plain(string folder)
    {
        Func<string, string> dll = name => Path.Combine(folder, "conformance-" + name + ".dll");
        LoadLibraryW(dll("once"));
        LoadLibraryW(dll("signed"));
        LoadLibraryW(dll("MiXeD"));
        // Twice at once, and once more after an unload.
        FreeLibrary(LoadLibraryW(dll("again")));
        LoadLibraryW(dll("again"));
        Map(dll("again"), SectionImage);
        if (Environment.OSVersion.Version >= new Version(6, 2))
            Map(dll("noexec"), SectionImageNoExecute);
        Map(dll("data"), 0);
        var thread = new Thread(() => { });
        thread.Start();
        thread.Join();
    }

    [DllImport("kernel32", CharSet = CharSet.Unicode, SetLastError = true)]
    static extern SafeFileHandle CreateFileW(string name, uint access, uint share, IntPtr security, uint how, uint flags, IntPtr template);

    [DllImport("kernel32", SetLastError = true)]
    static extern bool DeviceIoControl(SafeFileHandle file, uint code, byte[] input, int inputBytes, byte[] output, int outputBytes,
                                       out int returned, IntPtr overlapped);

    // Begins phase 7 of a suite, in which the driver has this process terminated.
    static void Ask()
    {
        const uint ReadWrite = 0xC0000000, OpenExisting = 3, Phase = 0x222004;
        int returned;
        using (var device = CreateFileW(@"\\.\ConformanceContext", ReadWrite, 0, IntPtr.Zero, OpenExisting, 0, IntPtr.Zero))
            DeviceIoControl(device, Phase, BitConverter.GetBytes(7u), 4, null, 0, out returned, IntPtr.Zero);
    }

    static int Main()
    {
        string self = System.Diagnostics.Process.GetCurrentProcess().MainModule.FileName;
        if (Path.GetFileNameWithoutExtension(self).EndsWith("plain"))
            Plain(Path.GetDirectoryName(self));
        if (Path.GetFileNameWithoutExtension(self).EndsWith("asks"))
            Ask();
        // All threads get the status of the process.
        Environment.Exit(42);
        return 42;
    }
}
