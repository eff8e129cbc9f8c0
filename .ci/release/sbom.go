package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeSBOM writes which modules the program of a target contains, in the form of CycloneDX, and returns the name of the file. Go records
// them in the program.
func (r *release) writeSBOM(b binary) (string, error) {
	content, err := os.ReadFile(b.path)
	if err != nil {
		return "", err
	}
	main := component(b.info.Main)
	main.Type, main.Name = cdx.ComponentTypeApplication, program
	main.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(content))}}
	parts := []cdx.Component{component(debug.Module{Path: "std", Version: strings.TrimPrefix(b.info.GoVersion, "go")})}
	for _, m := range b.info.Deps {
		if m.Replace != nil {
			return "", fmt.Errorf("the program contains %s in place of %s: a release must not replace modules", m.Replace.Path, m.Path)
		}
		parts = append(parts, component(*m))
	}
	var refs []string
	for _, c := range parts {
		refs = append(refs, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.SerialNumber = serialNumber(content)
	bom.Metadata = &cdx.Metadata{Timestamp: r.time.Format("2006-01-02T15:04:05Z"), Component: &main}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	name := r.fileName(b.target, ".cdx.json")
	out, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return "", err
	}
	defer out.Close()
	if err := cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return "", err
	}
	return name, out.Close()
}

// component describes a module.
func component(m debug.Module) cdx.Component {
	url := fmt.Sprintf("pkg:golang/%s@%s", m.Path, m.Version)
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: url, PackageURL: url, Name: m.Path, Version: m.Version}
	if m.Sum != "" {
		c.Properties = &[]cdx.Property{{Name: "landfall:go:sum", Value: m.Sum}}
	}
	return c
}

// serialNumber returns a UUID (version 5) that depends on the program alone.
func serialNumber(content []byte) string {
	id := sha1.Sum(content)
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}
