package sqlsource_test

import (
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

// mariaDB starts a server that ends with the test, and returns the URL of an empty database and a connection to it. It skips the test if
// MariaDB is not installed.
func mariaDB(t *testing.T) (address string, db *sql.DB) {
	t.Helper()
	program, err := exec.LookPath("mariadbd")
	install, installErr := exec.LookPath("mariadb-install-db")
	if err != nil || installErr != nil {
		t.Skip("MariaDB is not installed: apt-get install mariadb-server")
	}
	dir, err := os.MkdirTemp("", "landfall-mariadb") // a socket has a short path
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var account []string
	if os.Getuid() == 0 {
		u, err := user.Lookup("mysql")
		if err != nil {
			t.Skipf("MariaDB does not run as root, and the user mysql does not exist: %v", err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		require.NoError(t, os.Chown(dir, uid, -1))
		account = []string{"--user=mysql"}
	}
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "socket")
	out, err := exec.Command(install, append(account, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")...).CombinedOutput()
	require.NoError(t, err, string(out))
	server := exec.Command(program, append([]string{
		"--no-defaults", "--datadir=" + data, "--socket=" + socket, "--skip-networking", "--pid-file=" + filepath.Join(dir, "pid"), "--innodb-flush-log-at-trx-commit=0",
	}, account...)...)
	server.SysProcAttr = attributes
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "unix", socket
	connector, err := mysql.NewConnector(config)
	require.NoError(t, err)
	db = sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	require.Eventually(t, func() bool { return db.Ping() == nil }, 3*time.Minute, 50*time.Millisecond)
	_, err = db.Exec("CREATE DATABASE shop CHARACTER SET latin1")
	require.NoError(t, err)
	return "mysql://root@localhost/shop?" + url.Values{"socket": {socket}}.Encode(), db
}
