package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
)

// chartVersions matches the versions in Chart.yaml: of the chart, and of the image that it runs.
var chartVersions = regexp.MustCompile(`(?m)^(version|appVersion): .*$`)

// writeChart writes the Helm chart with the version of the release, in the form of helm package, and returns its name.
func (r *release) writeChart() (string, error) {
	var files []file
	top := os.DirFS(filepath.Join(r.root, "cmd", "landfall", "deploy", "helm"))
	err := fs.WalkDir(top, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(top, name)
		if name == "Chart.yaml" {
			content = chartVersions.ReplaceAll(content, fmt.Appendf(nil, `$1: "%s"`, r.version))
			if bytes.Count(content, []byte(r.version)) != 2 {
				err = errors.New("Chart.yaml does not have version and appVersion")
			}
		}
		files = append(files, file{path.Join(program, name), content, 0o644})
		return err
	})
	if err != nil {
		return "", err
	}
	content, err := tarOf(files, nil, r.time)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s-%s.tgz", program, r.version)
	return name, os.WriteFile(filepath.Join(r.out, name), gzipped(content), 0o644)
}
