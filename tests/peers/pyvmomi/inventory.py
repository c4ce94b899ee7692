#!/usr/bin/env python3
"""Lists an inventory with pyVmomi, VMware's own client, by a container view.

Logs in, reads the properties that a listing of ours shows of every machine,
page by page, and the names of folders, hosts, clusters and datastores. Prints
one line of JSON: how many machines, and the seconds from the login to the last
of them. Exits non-zero, with the reason, as soon as anything is not as it
should be.

Needs: pip install pyvmomi
"""

import argparse
import json
import ssl
import sys
import time
import urllib.parse

try:
    from pyVim import connect
    from pyVmomi import vim, vmodl
except ImportError:
    sys.exit("pyVmomi is missing: pip install pyvmomi")

MACHINE = [
    "name",
    "parent",
    "parentVApp",
    "runtime.powerState",
    "runtime.host",
    "datastore",
    "customValue",
    "config.modified",
    "summary.config.instanceUuid",
    "summary.config.guestFullName",
    "summary.config.numCpu",
    "summary.config.memorySizeMB",
    "summary.config.numVirtualDisks",
    "summary.storage.committed",
]
OTHERS = {
    vim.Folder: ["name", "parent"],
    vim.Datacenter: ["name", "parent"],
    vim.HostSystem: ["name", "parent"],
    vim.ClusterComputeResource: ["name"],
    vim.Datastore: ["name"],
}


def retrieve(content, wanted, page):
    """Each object that a view of these types shows, with its properties."""
    pc = vmodl.query.PropertyCollector
    view = content.viewManager.CreateContainerView(content.rootFolder, list(wanted), True)
    traversal = pc.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    spec = pc.FilterSpec(
        objectSet=[pc.ObjectSpec(obj=view, skip=True, selectSet=[traversal])],
        propSet=[pc.PropertySpec(type=kind, pathSet=paths) for kind, paths in wanted.items()],
    )
    collector = content.propertyCollector
    result = collector.RetrievePropertiesEx([spec], pc.RetrieveOptions(maxObjects=page))
    while result:
        for found in result.objects:
            yield found.obj, {prop.name: prop.val for prop in found.propSet}
        result = collector.ContinueRetrievePropertiesEx(result.token) if result.token else None
    view.Destroy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="https://host:port/sdk")
    parser.add_argument("username")
    parser.add_argument("password")
    parser.add_argument("--page", type=int, default=1000, help="objects of a page")
    arguments = parser.parse_args()
    url = urllib.parse.urlsplit(arguments.url)
    begun = time.monotonic()
    si = connect.SmartConnect(
        host=url.hostname,
        port=url.port,
        user=arguments.username,
        pwd=arguments.password,
        sslContext=ssl._create_unverified_context(),
    )
    content = si.content
    names = {found: properties["name"] for found, properties in retrieve(content, OTHERS, arguments.page)}
    machines = []
    for _, properties in retrieve(content, {vim.VirtualMachine: MACHINE}, arguments.page):
        # A listing names these; a reference alone would not do.
        host = names[properties["runtime.host"]]
        datastores = [names[datastore] for datastore in properties["datastore"]]
        machines.append((properties["name"], host, datastores, properties))
    seconds = time.monotonic() - begun
    connect.Disconnect(si)
    print(json.dumps({"vms": len(machines), "seconds": seconds}))


if __name__ == "__main__":
    main()
