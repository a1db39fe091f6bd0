"""Python's ftplib against a server: HOST PORT active|passive writable-share-with-known-files.

The share holds hello.txt, noise.bin (passed as a local path to compare with), an empty directory `empty` and `sub`.
Every assert names what went wrong; the exit status tells the test.
"""
import ftplib
import hashlib
import io
import socket
import sys


def same(found, wanted, what):
    a, b = hashlib.sha256(found).hexdigest(), hashlib.sha256(wanted).hexdigest()
    assert a == b, f"{what}: {len(found)} octets for {len(wanted)}"


def refused(code, call, *arguments):
    try:
        call(*arguments)
    except ftplib.Error as error:
        assert str(error).startswith(code), f"{call.__name__}{arguments}: {error}"
        return
    raise AssertionError(f"{call.__name__}{arguments} was not refused")


host, port, mode, local = sys.argv[1:5]
with open(local, "rb") as file:
    noise = file.read()

ftp = ftplib.FTP(encoding="utf-8")
ftp.connect(host, int(port), timeout=10)
ftp.login()
ftp.set_pasv(mode == "passive")

# directories
assert ftp.pwd() == "/", ftp.pwd()
assert ftp.mkd("made") == "/made"
assert ftp.mkd('made/a"b') == '/made/a"b'
ftp.cwd("made")
assert ftp.pwd() == "/made"
ftp.cwd("..")
ftp.rmd('made/a"b')
refused("550", ftp.cwd, "absent")
refused("550", ftp.rmd, "absent")

# listings
assert ftp.nlst("empty") == []
refused("550", ftp.nlst, "absent")
names = ftp.nlst()
assert sorted(names) == ["empty", "hello.txt", "made", "noise.bin", "sub"], names
facts = {name: entry for name, entry in ftp.mlsd(facts=["type", "size", "modify"])}
assert facts["noise.bin"]["size"] == str(len(noise)), facts
assert facts["noise.bin"]["type"] == "file" and facts["sub"]["type"] == "dir", facts
assert len(facts["hello.txt"]["modify"]) == 14, facts
lines = []
ftp.dir("sub", lines.append)
assert len(lines) == 2, lines

# transfers
ftp.voidcmd("TYPE I")
assert ftp.size("noise.bin") == len(noise)
refused("550", ftp.size, "sub")
received = bytearray()
ftp.retrbinary("RETR noise.bin", received.extend)
same(received, noise, "retrbinary")
received = bytearray()
ftp.retrbinary("RETR noise.bin", received.extend, rest=1000)
same(received, noise[1000:], "retrbinary with rest")
lines = []
ftp.retrlines("RETR hello.txt", lines.append)
assert lines == ["hello", "world"], lines
ftp.storbinary("STOR up.bin", io.BytesIO(noise))
received = bytearray()
ftp.retrbinary("RETR up.bin", received.extend)
same(received, noise, "storbinary")
ftp.storbinary("STOR up.bin", io.BytesIO(noise[100:]), rest=100)
ftp.storbinary("APPE up.bin", io.BytesIO(b"more"))
received = bytearray()
ftp.retrbinary("RETR up.bin", received.extend)
same(received, noise + b"more", "storbinary with rest, and APPE")
ftp.storlines("STOR lines.txt", io.BytesIO(b"one\ntwo\n"))
ftp.voidcmd("TYPE I")
assert ftp.size("lines.txt") == 8, "TYPE A stores bare line feeds"
refused("550", ftp.retrbinary, "RETR absent", received.extend)

# `abort` sends the whole line as urgent data
with ftp.transfercmd("RETR noise.bin") as data:
    data.recv(1000)
    answer = ftp.abort()
    assert answer[:3] in ("426", "225", "226"), answer
# the transfer was ended (426), or had been over already (226): the answer to ABOR itself comes after that
assert ftp.getmultiline()[:3] in ("225", "226")
assert ftp.voidcmd("NOOP").startswith("200")

# an abort with nothing to abort
assert ftp.abort()[:3] in ("225", "226")

# names
ftp.rename("up.bin", "réglé.bin")
assert ftp.size("réglé.bin") == len(noise) + 4
ftp.delete("réglé.bin")
refused("550", ftp.delete, "réglé.bin")
refused("550", ftp.rename, "absent", "b")
ftp.delete("lines.txt")
ftp.rmd("made")
assert ftp.sendcmd("MDTM hello.txt") == "213 20010203040506"
assert ftp.sendcmd("MFMT 20200102030405 hello.txt").startswith("213 Modify=20200102030405")
assert ftp.sendcmd("MDTM hello.txt") == "213 20200102030405"
assert ftp.getwelcome().startswith("220 ")
assert ftp.quit().startswith("221")
print("all held")
