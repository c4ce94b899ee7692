#!/usr/bin/env python3
"""Imports an OVA with pyVmomi, VMware's own client, into a vSphere server.

Reads the descriptor, which must come first, has the server make an import spec
of it (no errors and no warnings), begins the import, uploads each file the
server asks for straight out of the archive, and completes the lease. Then the
machine has to be there with the disks of the descriptor. Exits non-zero, with
the reason, as soon as anything is not as it should be.

Needs: pip install pyvmomi
"""

import argparse
import ssl
import sys
import tarfile
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

try:
    from pyVim import connect
    from pyVmomi import vim
except ImportError:
    sys.exit("pyVmomi is missing: pip install pyvmomi")

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


def check(condition, message):
    if not condition:
        sys.exit(f"import.py: {message}")


def find(content, kind):
    """The first object of a kind."""
    view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
    found = view.view[0]
    view.Destroy()
    return found


def capacities(descriptor):
    """The disks' capacities in KiB, as the descriptor tells them."""
    disks = ElementTree.fromstring(descriptor).findall(f"{OVF}DiskSection/{OVF}Disk")
    for disk in disks:
        check(disk.get(f"{OVF}capacityAllocationUnits") == "byte", "a capacity is not in bytes")
    return sorted(int(disk.get(f"{OVF}capacity")) // 1024 for disk in disks)


def import_spec(content, descriptor, name, pool, datastore):
    params = vim.OvfManager.CreateImportSpecParams(entityName=name, diskProvisioning="thin")
    result = content.ovfManager.CreateImportSpec(descriptor, pool, datastore, params)
    check(not result.error, f"the descriptor has errors: {[fault.localizedMessage for fault in result.error]}")
    check(not result.warning, f"the descriptor has warnings: {[fault.localizedMessage for fault in result.warning]}")
    check(result.fileItem, "the server asks for no file")
    return result


def wait_for_lease(lease):
    deadline = time.monotonic() + 30
    while lease.state == "initializing":
        check(time.monotonic() < deadline, "the lease was not ready within 30 s")
        time.sleep(0.05)
    # govmomi's simulator drops the connection when it is asked for the error of a lease without one.
    check(lease.state == "ready", f"the lease is {lease.state}")


def upload(archive, item, device, address, context):
    """Sends a member of the archive as it is; bytes sent."""
    member = archive.getmember(item.path)
    check(member.size == item.size, f"{item.path}: {member.size} bytes in the archive, {item.size} described")
    kind = "application/x-vnd.vmware-streamVmdk" if device.disk else "application/octet-stream"
    headers = {"Content-Type": kind, "Content-Length": str(member.size)}
    request = urllib.request.Request(
        device.url.replace("*", address), data=archive.extractfile(member), headers=headers, method="POST"
    )
    with urllib.request.urlopen(request, context=context) as reply:
        check(reply.status in (200, 201), f"{item.path}: the server answers {reply.status}")
    return member.size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="https://host:port/sdk")
    parser.add_argument("username")
    parser.add_argument("password")
    parser.add_argument("ova")
    parser.add_argument("name", help="of the machine to be")
    arguments = parser.parse_args()
    url = urllib.parse.urlsplit(arguments.url)
    address = f"{url.hostname}:{url.port}"
    context = ssl._create_unverified_context()
    si = connect.SmartConnect(
        host=url.hostname, port=url.port, user=arguments.username, pwd=arguments.password, sslContext=context
    )
    content = si.content
    datacenter, pool = find(content, vim.Datacenter), find(content, vim.ResourcePool)
    with tarfile.open(arguments.ova) as archive:
        first = archive.getmembers()[0]
        check(first.name.endswith(".ovf"), f"{first.name} is first in the archive")
        descriptor = archive.extractfile(first).read().decode()
        result = import_spec(content, descriptor, arguments.name, pool, datacenter.datastore[0])
        lease = pool.ImportVApp(result.importSpec, datacenter.vmFolder)
        try:
            wait_for_lease(lease)
            devices = {device.importKey: device for device in lease.info.deviceUrl}
            sent = 0
            for item in result.fileItem:
                check(item.deviceId in devices, f"{item.path}: no device {item.deviceId} among {sorted(devices)}")
                sent += upload(archive, item, devices[item.deviceId], address, context)
                lease.HttpNfcLeaseProgress(50)
            vm = lease.info.entity
            lease.HttpNfcLeaseComplete()
        except BaseException:
            lease.HttpNfcLeaseAbort()
            raise
    check(vm.name == arguments.name, f"the machine is called {vm.name}")
    disks = [device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk)]
    found, expected = sorted(disk.capacityInKB for disk in disks), capacities(descriptor)
    check(found == expected, f"disks of {found} KiB, the descriptor says {expected}")
    check(len(result.fileItem) == len(disks), f"{len(result.fileItem)} files for {len(disks)} disks")
    connect.Disconnect(si)
    print(f"{arguments.name}: {len(disks)} disks, {sent} bytes")


if __name__ == "__main__":
    main()
