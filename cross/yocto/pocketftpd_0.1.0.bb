SUMMARY = "FTP server that shares one directory"
DESCRIPTION = "Shares one directory over FTP: confined to it, read-only unless told otherwise, active and passive, \
IPv4 and IPv6, with a small and fixed bound on memory."
HOMEPAGE = "https://example.org/pocketftpd"
SECTION = "net"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=ecac0e1d5666a4d843bfac4455ea31a6"

SRC_URI = "git://example.org/pocketftpd.git;protocol=https;branch=main"
# A release is named by its commit; until there is one, the newest.
SRCREV = "${AUTOREV}"
S = "${WORKDIR}/git"

inherit cargo cargo-update-recipe-crates systemd update-rc.d useradd

# Written by cross/yocto/make-recipe from Cargo.lock; "bitbake -c update_crates pocketftpd" writes it too.
require ${BPN}-crates.inc

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --home-dir /srv/ftp --no-create-home --shell /bin/false pocketftpd"

SYSTEMD_SERVICE:${PN} = "pocketftpd.service"
# Nothing is shared before somebody decides so.
SYSTEMD_AUTO_ENABLE = "disable"
INITSCRIPT_NAME = "pocketftpd"
INITSCRIPT_PARAMS = "defaults 70 30"

do_install:append() {
    # cargo installs to ${bindir}; init scripts and units look for a daemon in ${sbindir}.
    install -d ${D}${sbindir} ${D}${sysconfdir}/default ${D}${sysconfdir}/init.d ${D}${mandir}/man8
    mv ${D}${bindir}/pocketftpd ${D}${sbindir}/pocketftpd
    rmdir --ignore-fail-on-non-empty ${D}${bindir}
    install -m 0644 ${S}/cross/systemd/pocketftpd.default ${D}${sysconfdir}/default/pocketftpd
    install -m 0755 ${S}/cross/sysv/pocketftpd ${D}${sysconfdir}/init.d/pocketftpd
    install -m 0644 ${S}/cross/man/pocketftpd.8 ${D}${mandir}/man8/pocketftpd.8
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -d ${D}${systemd_system_unitdir}
        install -m 0644 ${S}/cross/systemd/pocketftpd.service ${D}${systemd_system_unitdir}/pocketftpd.service
    fi
    # The share that the settings name.
    install -d -o pocketftpd -g pocketftpd ${D}/srv/ftp
}

FILES:${PN} += "/srv/ftp"
CONFFILES:${PN} += "${sysconfdir}/default/pocketftpd"
