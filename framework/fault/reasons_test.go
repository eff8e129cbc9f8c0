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
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestFileReason(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("file"), nil, 0o600))
	require.NoError(t, os.Symlink("nowhere", at("dangling")))
	require.NoError(t, os.Symlink("circle", at("circle")))
	require.NoError(t, os.Mkdir(at("there"), 0o700))
	require.NoError(t, os.Symlink("there", at("link")))
	read := func(name string) error { _, err := os.ReadFile(at(name)); return err }
	create := func(name string) error { return os.WriteFile(at(name), nil, 0o600) }
	mkdir := func(name string) error { return os.MkdirAll(at(name), 0o700) }
	path := func(op, name string, err error) error { return &fs.PathError{Op: op, Path: at(name), Err: err} }
	for _, tc := range []struct {
		err  error
		want string
	}{
		{read("none"), "there is no such file"},
		{read("none/x"), "there is no directory DIR/none"},
		{read("none/x/y"), "there is no directory DIR/none"},
		{read("file/x"), "DIR/file is a file, not a directory"},
		{read("file/x/y"), "DIR/file is a file, not a directory"},
		{read("dangling"), "is a link to nowhere, which does not exist"},
		{read("dangling/x"), "DIR/dangling is a link to nowhere, which does not exist"},
		{read("link/x"), "there is no such file"},
		{read("link/x/y"), "there is no directory DIR/link/x"},
		{read("circle"), "the links lead in a circle"},
		{read("."), "is a directory, not a file"},
		{create("none/x"), "there is no directory DIR/none"},
		{create("."), "is a directory, not a file"},
		{mkdir("file"), "is a file, not a directory"},
		{mkdir("file/x"), "is a file, not a directory"},
		{mkdir("dangling"), "is a link to nowhere, which does not exist"},
		{mkdir("dangling/x"), "is a link to nowhere, which does not exist"},
		{os.Mkdir(dir, 0o700), "exists already"},
		{path("open", "file", syscall.EACCES), "permission denied: the user of this process may not open it"},
		{path("open", "new", syscall.EACCES), "permission denied: the user of this process may not create it"},
		{path("mkdir", "new", syscall.EACCES), "permission denied: the user of this process may not create it"},
		{path("chmod", "file", syscall.EPERM), "permission denied: the user of this process may not change it"},
		{fs.ErrPermission, "permission denied: the user of this process may not read it"},
		{path("read", "file", syscall.EIO), "cannot be read: input/output error"},
		{path("write", "file", syscall.EIO), "cannot be written: input/output error"},
		{path("write", "file", syscall.ENOSPC), "the disk is full: free space on it"},
		{path("open", "file", syscall.EROFS), "the file system is read-only"},
		{fs.ErrNotExist, "there is no such file"},
		{syscall.ENOTDIR, "a part of the path is a file, not a directory"},
		{errors.New("other"), "other"},
	} {
		assert.Equal(t, tc.want, strings.ReplaceAll(fault.FileReason(tc.err), dir, "DIR"), tc.err)
	}
}

func TestFile(t *testing.T) {
	_, err := os.ReadFile("none/x")
	wrapped := fault.File(fmt.Errorf("the key: %w", err))
	assert.EqualError(t, wrapped, "the key: none/x: there is no directory none")
	assert.ErrorIs(t, wrapped, fs.ErrNotExist)
	assert.EqualError(t, fault.File(errors.New("other")), "other")
	assert.NoError(t, fault.File(nil))
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
