#!/bin/sh
# Run by the feed's checks on the installed package: is it the version that the Makefile says?

version=${PKG_VERSION:-$2}
[ "$(pocketftpd --version)" = "pocketftpd $version" ]
