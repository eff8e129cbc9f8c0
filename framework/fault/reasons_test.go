package fault_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestFileReason(t *testing.T) {
	dir := t.TempDir()
	_, missing := os.ReadFile(filepath.Join(dir, "none"))
	_, directory := os.ReadFile(dir)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{missing, "there is no such file"},
		{directory, "is a directory, not a file"},
		{&fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, "permission denied: the user of this process may not read it"},
		{&fs.PathError{Op: "read", Path: "f", Err: syscall.EIO}, "cannot be read: input/output error"},
		{&fs.PathError{Op: "mkdir", Path: "f/d", Err: syscall.ENOTDIR}, "a part of the path is a file, not a directory"},
		{errors.New("other"), "other"},
	} {
		assert.Equal(t, tc.want, fault.FileReason(tc.err))
	}
}

func TestListenReason(t *testing.T) {
	listen := func(err error) error {
		return fmt.Errorf("listening: %w", &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, Err: os.NewSyscallError("bind", err)})
	}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{listen(syscall.EADDRINUSE), "127.0.0.1:80 is already in use by another program"},
		{listen(syscall.EADDRNOTAVAIL), "this machine does not have the address 127.0.0.1:80"},
		{listen(syscall.EACCES), "127.0.0.1:80 is not allowed for the user of this process"},
		{&fs.PathError{Op: "listen", Path: "/run/x.sock", Err: syscall.EADDRINUSE}, "the address is already in use by another program"},
		{&net.OpError{Op: "listen", Err: &net.DNSError{Name: "300.1.1.1", IsNotFound: true}}, "the host 300.1.1.1 is not known"},
		{errors.New("other"), "other"},
	} {
		assert.Equal(t, tc.want, fault.ListenReason(tc.err))
	}
}

func TestNetworkReason(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Name: "db.example", IsNotFound: true}, "the host db.example is not known"},
		{&net.DNSError{Name: "db.example", IsTimeout: true}, "the address of the host db.example cannot be looked up"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "it does not speak TLS: its URL may begin with http:// instead of https://"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a.example"}, "its certificate is not for the host a.example"},
		{x509.UnknownAuthorityError{}, "its certificate is signed by an authority that this machine does not know"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, "its certificate has expired, or is not valid yet by the clock of this machine"},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, "its certificate is not valid"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "connection refused: nothing listens there"},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, "there is no route to the host"},
		{fmt.Errorf("dialling: %w", context.DeadlineExceeded), "no answer in time"},
		{errors.New("other"), ""},
		{nil, ""},
	} {
		assert.Equal(t, tc.want, fault.NetworkReason(tc.err))
	}
}
