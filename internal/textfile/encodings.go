package textfile

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/landfall-dev/landfall/framework/fault"
)

// namedEncoding is an encoding with the name that users write, and other names that are accepted. encoding is nil for UTF-8.
type namedEncoding struct {
	name     string
	encoding encoding.Encoding
	others   []string
}

func namedEncodings() []namedEncoding {
	little, big := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	return []namedEncoding{
		{"utf-8", nil, nil}, {"latin1", charmap.ISO8859_1, nil}, {"iso-8859-1", charmap.ISO8859_1, nil}, {"iso-8859-2", charmap.ISO8859_2, []string{"latin2"}},
		{"iso-8859-15", charmap.ISO8859_15, []string{"latin9"}},
		{"windows-1250", charmap.Windows1250, []string{"cp1250"}}, {"windows-1251", charmap.Windows1251, []string{"cp1251"}},
		{"windows-1252", charmap.Windows1252, []string{"cp1252"}}, {"windows-1253", charmap.Windows1253, []string{"cp1253"}},
		{"windows-1254", charmap.Windows1254, []string{"cp1254"}}, {"macintosh", charmap.Macintosh, nil},
		{"shift-jis", japanese.ShiftJIS, []string{"sjis", "cp932", "windows-31j"}}, {"euc-jp", japanese.EUCJP, nil},
		{"euc-kr", korean.EUCKR, []string{"cp949"}}, {"gb18030", simplifiedchinese.GB18030, []string{"gbk", "gb2312", "cp936"}},
		{"big5", traditionalchinese.Big5, []string{"cp950"}},
		{"utf-16", little, nil}, {"utf-16le", little, nil}, {"utf-16be", big, nil},
	}
}

// Encodings returns the names of the supported encodings.
func Encodings() []string {
	var names []string
	for _, e := range namedEncodings() {
		names = append(names, e.name)
	}
	return names
}

// CheckEncoding returns an error that lists the supported encodings, unless name is one of them or empty.
func CheckEncoding(name string) error {
	_, err := encodingByName(name)
	return err
}

func encodingByName(name string) (namedEncoding, error) {
	if name == "" {
		name = "utf-8"
	}
	plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for _, e := range namedEncodings() {
		if e.name == plain || strings.ReplaceAll(e.name, "-", "") == plain || slices.Contains(e.others, plain) {
			return e, nil
		}
	}
	return namedEncoding{}, fmt.Errorf("unknown encoding %q%s: the encodings are %s", name, fault.DidYouMean(plain, Encodings()), strings.Join(Encodings(), ", "))
}
