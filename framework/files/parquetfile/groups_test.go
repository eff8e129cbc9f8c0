package parquetfile_test

import (
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Some writers begin or end a file with a row group without rows.
func TestRowGroupsWithoutRows(t *testing.T) {
	type row struct {
		ID string `parquet:"id"`
	}
	content := written(t, []row{{"a"}, {"b"}, {"c"}}, parquet.MaxRowsPerRowGroup(2))
	for _, at := range []int{0, 1, 2} {
		changed := withFooter(t, content, func(m *format.FileMetaData) {
			empty := m.RowGroups[1]
			empty.NumRows, empty.Columns = 0, append([]format.ColumnChunk{}, empty.Columns...)
			empty.Columns[0].MetaData.NumValues, empty.Columns[0].MetaData.TotalCompressedSize, empty.Columns[0].MetaData.TotalUncompressedSize = 0, 0, 0
			m.RowGroups = append(m.RowGroups[:at:at], append([]format.RowGroup{empty}, m.RowGroups[at:]...)...)
			for i := range m.RowGroups {
				m.RowGroups[i].Ordinal = int16(i)
			}
		})
		values, err := readColumn(changed, "id")
		require.NoError(t, err, at)
		assert.Equal(t, []string{"a", "b", "c"}, values, at)
	}
}

// A text that is not UTF-8 has no JSON form, whatever its type says.
func TestTextsThatAreNotUTF8(t *testing.T) {
	type row struct {
		Data []byte `parquet:"data,json"`
		Text string `parquet:"text"`
	}
	content := written(t, []row{{[]byte("{}"), "a"}, {[]byte{'"', 0xff, '"'}, "\xff"}})
	for name, want := range map[string]string{"data": `[{}]`, "text": `["a"]`} {
		values, problems := properties(t, content, name)
		require.Len(t, problems, 2)
		assert.Equal(t, want, values[0])
		assert.Empty(t, problems[0])
		assert.Contains(t, problems[1], name+" ")
	}
}

// TestEncryptedAndCompressedFiles checks that a file which this program cannot read for another reason than damage says so.
func TestEncryptedAndCompressedFiles(t *testing.T) {
	type row struct {
		ID    string `parquet:"id"`
		Other string `parquet:"other"`
	}
	content := written(t, []row{{"a", "x"}, {"b", "y"}})
	encrypted := withFooter(t, content, func(m *format.FileMetaData) { m.EncryptionAlgorithm.Value = &format.AesGcmV1{} })
	_, err := readColumn(encrypted, "id")
	assert.EqualError(t, err, "the Parquet file is encrypted: export it without encryption")
	for codec, want := range map[format.CompressionCodec]string{format.LZO: "LZO", format.Lz4: "LZ4", 99: "?"} {
		packed := withFooter(t, content, func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].MetaData.Codec = codec })
		_, err := readColumn(packed, "id")
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "which cannot be read: export it with Snappy, gzip or Zstandard")
		values, err := readColumn(packed, "other")
		require.NoError(t, err, "the other columns can be read")
		assert.Equal(t, []string{"x", "y"}, values)
	}
}
