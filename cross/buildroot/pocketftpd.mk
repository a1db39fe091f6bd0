################################################################################
#
# pocketftpd
#
################################################################################

POCKETFTPD_VERSION = 0.1.0
POCKETFTPD_SITE = https://example.org/pocketftpd/releases
POCKETFTPD_LICENSE = MIT
POCKETFTPD_LICENSE_FILES = LICENSE

# Its own account; -1 lets Buildroot choose the numbers. The home directory is
# made, and is what the init script shares unless told otherwise.
define POCKETFTPD_USERS
	pocketftpd -1 pocketftpd -1 * /srv/ftp - - FTP server
endef

define POCKETFTPD_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 package/pocketftpd/S70pocketftpd \
		$(TARGET_DIR)/etc/init.d/S70pocketftpd
endef

# The unit is the one in the source, so that there is no second copy to go
# stale; only the directory differs, as cargo installs to /usr/bin.
define POCKETFTPD_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/cross/systemd/pocketftpd.service \
		$(TARGET_DIR)/usr/lib/systemd/system/pocketftpd.service
	$(SED) 's,/usr/sbin/,/usr/bin/,' \
		$(TARGET_DIR)/usr/lib/systemd/system/pocketftpd.service
endef

$(eval $(cargo-package))
