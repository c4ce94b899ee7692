#!/usr/bin/env python3
"""Renames a machine, or another entity, with pyVmomi, VMware's own client.

Exits non-zero, with the reason, if the server does not do it.

Needs: pip install pyvmomi
"""

import argparse
import ssl
import sys
import urllib.parse

try:
    from pyVim import connect
    from pyVim.task import WaitForTask
except ImportError:
    sys.exit("pyVmomi is missing: pip install pyvmomi")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="https://host:port/sdk")
    parser.add_argument("username")
    parser.add_argument("password")
    parser.add_argument("path", help="inventory path, such as DC0/vm/web")
    parser.add_argument("name", help="what it is to be called")
    arguments = parser.parse_args()
    url = urllib.parse.urlsplit(arguments.url)
    si = connect.SmartConnect(
        host=url.hostname,
        port=url.port,
        user=arguments.username,
        pwd=arguments.password,
        sslContext=ssl._create_unverified_context(),
    )
    entity = si.content.searchIndex.FindByInventoryPath(arguments.path)
    if entity is None:
        sys.exit(f"rename.py: there is nothing at {arguments.path}")
    WaitForTask(entity.Rename(arguments.name), si=si)
    if entity.name != arguments.name:
        sys.exit(f"rename.py: it is called {entity.name}")
    connect.Disconnect(si)


if __name__ == "__main__":
    main()
