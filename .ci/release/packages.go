package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// maintainer is the maintainer that the packages name.
const maintainer = "The Landfall authors <landfall@localhost>"

// units are the files of systemd, from cmd/landfall/deploy, by where packages install them.
var units = map[string]string{
	"landfall.service":  "/usr/lib/systemd/system/landfall.service",
	"landfall.sysusers": "/usr/lib/sysusers.d/landfall.conf",
	"landfall.tmpfiles": "/usr/lib/tmpfiles.d/landfall.conf",
}

// completions are where packages install the scripts of shells.
var completions = map[string]string{
	"landfall.bash": "/usr/share/bash-completion/completions/landfall",
	"landfall.fish": "/usr/share/fish/vendor_completions.d/landfall.fish",
	"_landfall":     "/usr/share/zsh/site-functions/_landfall",
}

// writeDeb writes the package for Debian and Ubuntu, and returns its name.
func (r *release) writeDeb(b binary) (string, error) {
	return r.writePackage(b, "deb", []string{"systemd | systemd-standalone-sysusers", "systemd | systemd-standalone-tmpfiles"})
}

// writeRPM writes the package for Fedora, RHEL and SUSE, and returns its name.
func (r *release) writeRPM(b binary) (string, error) {
	return r.writePackage(b, "rpm", []string{"systemd"})
}

func (r *release) writePackage(b binary, format string, depends []string) (string, error) {
	contents, err := r.packageContents(b, format)
	if err != nil {
		return "", err
	}
	scripts := filepath.Join(r.root, ".ci", "release", "scripts")
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: program, Arch: b.arch, Platform: b.os, Version: r.version, VersionSchema: "semver", MTime: r.time,
		Section: "net", Priority: "optional", License: "MIT", Maintainer: maintainer, Homepage: "https://" + b.info.Main.Path,
		Description: "Sends customer events and audiences to marketing tools\nLandfall runs the configurations of Segment Actions on your own machines.",
		Overridables: nfpm.Overridables{
			Contents: contents, Depends: depends, RPM: nfpm.RPM{BuildHost: program},
			Scripts: nfpm.Scripts{
				PostInstall: filepath.Join(scripts, "postinstall.sh"), PreRemove: filepath.Join(scripts, "preremove.sh"), PostRemove: filepath.Join(scripts, "postremove.sh"),
			},
		},
	})
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return "", err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	name := packager.ConventionalFileName(info)
	out, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return "", err
	}
	defer out.Close()
	if err := packager.Package(info, out); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return name, out.Close()
}

// packageContents returns the files and directories of a package. Files that nfpm reads are written to a directory of their own.
func (r *release) packageContents(b binary, format string) (files.Contents, error) {
	contents := files.Contents{
		r.entry(b.path, "/usr/bin/landfall", 0o755),
		{Type: files.TypeDir, Destination: "/etc/landfall", FileInfo: &files.ContentFileInfo{Mode: 0o750, MTime: r.time}},
		{Type: files.TypeDir, Destination: "/var/lib/landfall", FileInfo: &files.ContentFileInfo{Mode: 0o700, MTime: r.time}},
	}
	for _, f := range r.shared {
		at, content := installedAt(f, format), f.content
		if strings.HasPrefix(at, "/usr/share/man/") {
			at, content = at+".gz", gzipped(content)
		}
		source := filepath.Join(r.work, format, filepath.FromSlash(at))
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(source, content, 0o644); err != nil {
			return nil, err
		}
		contents = append(contents, r.entry(source, at, 0o644))
	}
	return contents, nil
}

func (r *release) entry(source, destination string, mode os.FileMode) *files.Content {
	return &files.Content{Source: source, Destination: destination, FileInfo: &files.ContentFileInfo{Mode: mode, MTime: r.time}}
}

// installedAt returns where a package installs a file of the archive. Each system has its own directory of licences or manual pages.
func installedAt(f file, format string) string {
	name := path.Base(f.name)
	switch at, unit := units[name]; {
	case unit:
		return at
	case strings.HasPrefix(f.name, completionDir) && format == "deb" && name == "_landfall":
		return "/usr/share/zsh/vendor-completions/_landfall"
	case strings.HasPrefix(f.name, completionDir):
		return completions[name]
	case strings.HasPrefix(f.name, manualDir):
		return "/usr/share/" + f.name
	case f.name == "LICENSE" && format == "deb":
		return "/usr/share/doc/landfall/copyright"
	}
	return "/usr/share/doc/landfall/" + f.name
}
