"""A real OpenLDAP server outside the cluster, over TLS by an authority made for the occasion."""

import signal
import socket
import subprocess

from mini.cluster import until

SUFFIX = "dc=example,dc=org"
SERVICE = f"cn=gitward,{SUFFIX}"
ROOT = f"cn=root,{SUFFIX}"
NAME = "ldap.example.org"

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {place}/server.pem
TLSCertificateKeyFile {place}/server.key
database mdb
suffix "{suffix}"
rootdn "{root}"
rootpw root-password
directory {place}/data
"""

PEOPLE = """\
dn: {suffix}
objectClass: organization
objectClass: dcObject
dc: example
o: Example

dn: {service}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gitward
userPassword: first-password

dn: cn=developers,{suffix}
objectClass: groupOfNames
cn: developers
member: uid=alice,{suffix}
member: uid=bob,{suffix}
"""

PERSON = """
dn: uid={name},{suffix}
objectClass: inetOrgPerson
uid: {name}
cn: {name}
sn: {name}
userPassword: {name}-demo
"""


class Slapd:
    def __init__(self, place, address):
        self._place = place
        (place / "data").mkdir(parents=True)
        make_certificates(place)
        words = {"place": place, "suffix": SUFFIX, "root": ROOT, "service": SERVICE}
        (place / "slapd.conf").write_text(CONFIGURATION.format(**words))
        people = "".join(PERSON.format(name=name, suffix=SUFFIX) for name in ("alice", "bob", "carol"))
        (place / "people.ldif").write_text(PEOPLE.format(**words) + people)
        subprocess.run(
            ["slapadd", "-q", "-f", place / "slapd.conf", "-l", place / "people.ldif"], check=True, capture_output=True
        )
        with socket.create_server((address, 0)) as free:
            self.port = free.getsockname()[1]
        self._local = f"ldapi://{str(place / 'socket').replace('/', '%2F')}"
        self._url = f"ldaps://{address}:{self.port}"
        self._process = self._start()

    @property
    def authority(self):
        return (self._place / "ca.pem").read_text()

    def change_password(self, dn, password):
        change = f"dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: {password}\n"
        command = ["ldapmodify", "-x", "-H", self._local, "-D", ROOT, "-w", "root-password"]
        subprocess.run(command, input=change, text=True, check=True, capture_output=True)

    def restart(self):
        """Whoever was connected has to connect again."""
        self.close()
        self._process = self._start()

    def _start(self):
        (self._place / "socket").unlink(missing_ok=True)
        command = ["slapd", "-d", "none", "-f", self._place / "slapd.conf", "-h", f"{self._url} {self._local}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: (self._place / "socket").exists(), 10, "slapd answers")
        return process

    def close(self):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)


def make_certificates(place):
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-x509", "-days", "2"]
    authority = ["-subj", "/CN=Test authority", "-keyout", place / "ca.key", "-out", place / "ca.pem"]
    server = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-addext", "basicConstraints=CA:FALSE"]
    server += ["-CA", place / "ca.pem", "-CAkey", place / "ca.key"]
    for words in (authority, [*server, "-keyout", place / "server.key", "-out", place / "server.pem"]):
        subprocess.run([*new, *words], check=True, capture_output=True)
