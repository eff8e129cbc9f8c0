package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// imageUser is who runs the program in a container.
const imageUser = 65532

// The types of the parts of an image.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor refers to a part of an image.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// imageParts collects the parts of an image by their digests.
type imageParts struct{ files []file }

// add adds a part and returns what refers to it.
func (p *imageParts) add(mediaType string, content []byte) descriptor {
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	p.files = append(p.files, file{"blobs/sha256/" + sum, content, 0o644})
	return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(content)}
}

func (p *imageParts) addJSON(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v)
	return p.add(mediaType, content), err
}

// writeImage writes the container image for all Linux targets as an archive of the OCI image layout, and returns its name. The image has
// nothing but the program, which contains the certificates of authorities and the time zones: no shell, no libraries.
func (r *release) writeImage(binaries []binary) (string, error) {
	var parts imageParts
	var manifests []descriptor
	for _, b := range binaries {
		manifest, err := r.addImage(&parts, b)
		if err != nil {
			return "", err
		}
		manifests = append(manifests, manifest)
	}
	index, err := parts.addJSON(typeIndex, map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": manifests})
	if err != nil {
		return "", err
	}
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": r.version, "io.containerd.image.name": program + ":" + r.version}
	top, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{index}})
	if err != nil {
		return "", err
	}
	files := append([]file{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644}, {"index.json", top, 0o644}}, parts.files...)
	content, err := tarOf(files, nil, r.time)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s_%s_image.tar", program, r.version)
	return name, os.WriteFile(filepath.Join(r.out, name), content, 0o644)
}

// addImage adds the image of one target, and returns what refers to its manifest.
func (r *release) addImage(parts *imageParts, b binary) (descriptor, error) {
	content, err := os.ReadFile(b.path)
	if err != nil {
		return descriptor{}, err
	}
	plain, err := tarOf([]file{
		{"landfall", content, 0o755},
		{"etc/passwd", fmt.Appendf(nil, "landfall:x:%d:%[1]d::/data:/\n", imageUser), 0o644},
		{"etc/group", fmt.Appendf(nil, "landfall:x:%d:\n", imageUser), 0o644},
	}, []tar.Header{
		{Name: "data/", Mode: 0o700, Uid: imageUser, Gid: imageUser}, {Name: "etc/landfall/", Mode: 0o755}, {Name: "tmp/", Mode: 0o1777},
	}, r.time)
	if err != nil {
		return descriptor{}, err
	}
	platform := platform{b.arch, b.os}
	config, err := parts.addJSON(typeConfig, map[string]any{
		"created": r.time.Format(time.RFC3339), "architecture": b.arch, "os": b.os, "config": r.imageConfig(b),
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(plain))}},
		"history": []map[string]any{{"created": r.time.Format(time.RFC3339), "created_by": "landfall/.ci/release"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	manifest, err := parts.addJSON(typeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []descriptor{parts.add(typeLayer, gzipped(plain))},
	})
	manifest.Platform = &platform
	return manifest, err
}

// imageConfig returns how a container starts. The health check is read by Docker and Podman; Kubernetes has probes of its own.
func (r *release) imageConfig(b binary) map[string]any {
	return map[string]any{
		"User":         fmt.Sprintf("%d:%[1]d", imageUser),
		"Entrypoint":   []string{"/landfall"},
		"Cmd":          []string{"serve", "--config", "/etc/landfall/landfall.yaml", "--data", "/data", "--listen", "0.0.0.0:8080", "--json"},
		"WorkingDir":   "/data",
		"Env":          []string{"HOME=/data", "PATH=/"},
		"Volumes":      map[string]any{"/data": struct{}{}},
		"ExposedPorts": map[string]any{"8080/tcp": struct{}{}},
		"Healthcheck": map[string]any{
			"Test": []string{"CMD", "/landfall", "health", "--data", "/data"}, "Interval": 30 * time.Second, "Timeout": 5 * time.Second, "StartPeriod": 30 * time.Second,
		},
		"Labels": map[string]string{
			"org.opencontainers.image.title": "Landfall", "org.opencontainers.image.version": r.version, "org.opencontainers.image.licenses": "MIT",
			"org.opencontainers.image.source": "https://" + b.info.Main.Path, "org.opencontainers.image.revision": setting(b, "vcs.revision"),
		},
	}
}

// setting returns a setting of a build.
func setting(b binary, key string) string {
	for _, s := range b.info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// tarOf returns an archive of directories and files.
func tarOf(files []file, dirs []tar.Header, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, d := range dirs {
		d.Typeflag, d.ModTime, d.Format = tar.TypeDir, at, tar.FormatUSTAR
		if err := t.WriteHeader(&d); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Mode: int64(f.mode), Size: int64(len(f.content)), ModTime: at, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := t.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := t.Close()
	return b.Bytes(), err
}
