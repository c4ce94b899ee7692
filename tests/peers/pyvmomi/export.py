#!/usr/bin/env python3
"""Exports a disk with pyVmomi, VMware's own client, from a vSphere server.

Logs in, lists the machines by container view and property collector, reads
properties, runs ExportVm, waits for the lease, downloads a disk, asks for the
host's manifest and the OVF descriptor, completes the lease and logs out.
Exits non-zero, with the reason, as soon as anything is not as it should be.

Needs: pip install pyvmomi
"""

import argparse
import hashlib
import ssl
import struct
import sys
import time
import urllib.parse
import urllib.request

try:
    from pyVim import connect
    from pyVim.task import WaitForTask
    from pyVmomi import vim, vmodl
except ImportError:
    sys.exit("pyVmomi is missing: pip install pyvmomi")

SECTOR = 512
GD_AT_END = 0xFFFFFFFFFFFFFFFF


def check(condition, message):
    if not condition:
        sys.exit(f"export.py: {message}")


def list_machines(content):
    """Every machine's properties, by name, paged to the end."""
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    pc = vmodl.query.PropertyCollector
    paths = ["name", "runtime.powerState", "config.uuid", "config.hardware.device", "parent"]
    traversal = pc.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    spec = pc.FilterSpec(
        objectSet=[pc.ObjectSpec(obj=view, skip=True, selectSet=[traversal])],
        propSet=[pc.PropertySpec(type=vim.VirtualMachine, pathSet=paths)],
    )
    machines, pages = {}, 0
    result = content.propertyCollector.RetrievePropertiesEx([spec], pc.RetrieveOptions(maxObjects=2))
    while result:
        pages += 1
        check(len(result.objects) <= 2, "a page is longer than maxObjects")
        for found in result.objects:
            properties = {prop.name: prop.val for prop in found.propSet}
            check(set(properties) == set(paths), f"{found.obj}: got {sorted(properties)}")
            machines[properties["name"]] = (found.obj, properties)
        if not result.token:
            break
        result = content.propertyCollector.ContinueRetrievePropertiesEx(result.token)
    count = len(view.view)
    check(count == len(machines), f"the view shows {count} machines, the collector {len(machines)}")
    check(pages == (count + 1) // 2, f"{count} machines came in {pages} pages of 2")
    view.Destroy()
    return machines


def walk_folders(content, name):
    """The machine again, the long way: from folder to folder by a named traversal."""
    pc = vmodl.query.PropertyCollector
    folders = pc.SelectionSpec(name="folders")
    spec = pc.FilterSpec(
        objectSet=[pc.ObjectSpec(obj=content.rootFolder, skip=True, selectSet=[
            pc.TraversalSpec(name="folders", type=vim.Folder, path="childEntity", skip=False,
                             selectSet=[folders, pc.SelectionSpec(name="datacenter")]),
            pc.TraversalSpec(name="datacenter", type=vim.Datacenter, path="vmFolder", skip=False,
                             selectSet=[folders]),
        ])],
        propSet=[pc.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
    )
    found = content.propertyCollector.RetrieveContents([spec])
    return [item.obj for item in found if item.propSet[0].val == name]


def inventory_path(vm):
    parts, entity = [], vm
    while entity.parent:
        parts.append(entity.name)
        entity = entity.parent
    return "/" + "/".join(reversed(parts))


def wait_for_lease(content, lease):
    """Waits by WaitForUpdatesEx, as a client should, until the lease is ready."""
    pc = vmodl.query.PropertyCollector
    spec = pc.FilterSpec(objectSet=[pc.ObjectSpec(obj=lease)],
                         propSet=[pc.PropertySpec(type=vim.HttpNfcLease, pathSet=["state", "error"])])
    collector = content.propertyCollector.CreatePropertyCollector()
    collector.CreateFilter(spec, True)
    version, deadline = "", time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            update = collector.WaitForUpdatesEx(version, pc.WaitOptions(maxWaitSeconds=5))
            if not update:
                continue
            version = update.version
            changes = {c.name: c.val for f in update.filterSet for o in f.objectSet for c in o.changeSet}
            if changes.get("state") == "ready":
                return
            check(changes.get("state") != "error", f"the lease failed: {changes.get('error')}")
    finally:
        collector.Destroy()
    check(False, "the lease was not ready within 30 s")


def download(url, path, context):
    """Writes the body to a file; size, sums, and whether a length was announced."""
    size, sha1, sha256 = 0, hashlib.sha1(), hashlib.sha256()
    with urllib.request.urlopen(url, context=context) as reply, open(path, "wb") as out:
        check(reply.headers.get("Content-Length") is None, "the disk came with a Content-Length")
        while piece := reply.read(1 << 20):
            out.write(piece)
            size += len(piece)
            sha1.update(piece)
            sha256.update(piece)
    return size, sha1.hexdigest(), sha256.hexdigest()


def check_stream(path, capacity):
    """Header, and with ESXi's layout footer and end of stream."""
    with open(path, "rb") as disk:
        header = disk.read(SECTOR)
        check(header[:4] == b"KDMV", "the disk does not begin with KDMV")
        version, flags, sectors = struct.unpack("<IIQ", header[4:20])
        check(version == 3 and flags & 0x30000 == 0x30000, f"version {version}, flags {flags:#x}")
        check(sectors * SECTOR == capacity, f"{sectors} sectors for a capacity of {capacity} bytes")
        (gd_offset,) = struct.unpack("<Q", header[56:64])
        if gd_offset != GD_AT_END:
            return
        disk.seek(-3 * SECTOR, 2)
        marker, footer, end = (disk.read(SECTOR) for _ in range(3))
        check(struct.unpack("<QII", marker[:16]) == (1, 0, 3), "no footer marker before the end")
        check(footer[:4] == b"KDMV" and struct.unpack("<Q", footer[56:64])[0] != GD_AT_END, "no footer")
        check(end == bytes(SECTOR), "no end-of-stream marker")


def export(si, vm, context, path, address):
    content = si.content
    lease = vm.ExportVm()
    try:
        wait_for_lease(content, lease)
        info = lease.info
        check(info.entity == vm and info.leaseTimeout > 0, "the lease's info is not about this machine")
        disks = [url for url in info.deviceUrl if url.disk]
        devices = [d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]
        check(len(disks) == len(devices), f"{len(disks)} device URLs for {len(devices)} disks")
        pair = vim.KeyValue(key=disks[0].key, value="sha256")
        lease.HttpNfcLeaseSetManifestChecksumType([pair])
        url = disks[0].url.replace("*", address)
        size, sha1, sha256 = download(url, path, context)
        check_stream(path, devices[0].capacityInBytes)
        lease.HttpNfcLeaseProgress(50)
        entry = next(e for e in lease.HttpNfcLeaseGetManifest() if e.key == disks[0].key)
        check(entry.size == size, f"the manifest says {entry.size} bytes, {size} arrived")
        check(entry.sha1 == sha1, "the SHA-1 differs from the manifest's")
        check((entry.checksumType, entry.checksum) == ("sha256", sha256), "the SHA-256 differs from the manifest's")
        describe(content, vm, disks[0], size)
        lease.HttpNfcLeaseProgress(100)
        lease.HttpNfcLeaseComplete()
    except BaseException:
        lease.HttpNfcLeaseAbort()
        raise
    check(lease.state == "done", f"the lease is {lease.state} after Complete")
    return size


def describe(content, vm, url, size):
    def create(**file):
        params = vim.OvfManager.CreateDescriptorParams(name=vm.name, ovfFiles=[vim.OvfManager.OvfFile(**file)])
        return content.ovfManager.CreateDescriptor(vm, params)

    result = create(deviceId=url.key, path=url.targetId, size=size)
    check(not result.error and not result.warning, f"the descriptor has faults: {result.error}{result.warning}")
    check(f'ovf:size="{size}"' in result.ovfDescriptor, "the descriptor has not the observed size")
    result = create(deviceId=url.key, path=url.targetId, size=0)
    check(len(result.error) == 1, "a descriptor without a size is not an error")


def refuse_running(content, machines):
    """A running machine exports only by snapshot."""
    for vm, properties in machines.values():
        if properties["runtime.powerState"] != "poweredOn":
            continue
        try:
            vm.ExportVm()
            check(False, "a running machine was exported")
        except vim.fault.InvalidPowerState as fault:
            check(fault.existingState == "poweredOn", f"existingState is {fault.existingState}")
        WaitForTask(vm.CreateSnapshot_Task("export-py", "made by a test", False, False))
        snapshot = vm.snapshot.rootSnapshotList[0]
        check(snapshot.name == "export-py", f"the snapshot is named {snapshot.name}")
        lease = snapshot.snapshot.ExportSnapshot()
        wait_for_lease(content, lease)
        lease.HttpNfcLeaseAbort()
        WaitForTask(snapshot.snapshot.RemoveSnapshot_Task(True))
        check(vm.snapshot is None, "the snapshot is still there")
        return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="https://host:port/sdk")
    parser.add_argument("username")
    parser.add_argument("password")
    parser.add_argument("vm", help="name of a machine that is off")
    parser.add_argument("output", help="file to write its first disk to")
    arguments = parser.parse_args()
    url = urllib.parse.urlsplit(arguments.url)
    context = ssl._create_unverified_context()
    options = dict(host=url.hostname, port=url.port, user=arguments.username, sslContext=context)
    try:
        connect.SmartConnect(pwd="not the password", **options)
        check(False, "a wrong password was accepted")
    except vim.fault.InvalidLogin:
        pass
    si = connect.SmartConnect(pwd=arguments.password, **options)
    content = si.content
    check(content.about.apiType in ("VirtualCenter", "HostAgent"), f"apiType {content.about.apiType}")
    check(content.sessionManager.currentSession.userName == arguments.username, "the session is another's")
    machines = list_machines(content)
    check(arguments.vm in machines, f"no machine {arguments.vm} among {sorted(machines)}")
    vm, properties = machines[arguments.vm]
    check(properties["runtime.powerState"] == "poweredOff", "the machine must be off")
    check(walk_folders(content, arguments.vm) == [vm], "the walk through the folders does not find it")
    path = inventory_path(vm)
    check(content.searchIndex.FindByInventoryPath(path) == vm, f"{path} does not lead to it")
    check(content.searchIndex.FindByUuid(None, vm.config.uuid, True) == vm, "its UUID does not lead to it")
    size = export(si, vm, context, arguments.output, f"{url.hostname}:{url.port}")
    WaitForTask(vm.PowerOnVM_Task())
    check(vm.runtime.powerState == "poweredOn", "it is not on after PowerOn")
    WaitForTask(vm.PowerOffVM_Task())
    refuse_running(content, machines)
    try:
        vm.ResetVM_Task()
        check(False, "Reset was not refused")
    except vmodl.fault.NotSupported:
        pass
    connect.Disconnect(si)
    print(f"{path}: {size} bytes, {len(machines)} machines")


if __name__ == "__main__":
    main()
