// Package gcpckms stands in for the auto-unseal wrapper of that name, which this program never uses; it spares that cloud's SDK.
package gcpckms

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

const (
	EnvGcpCkmsWrapperCredsPath   = "UNUSED_GCPCKMS_0"
	EnvGcpCkmsWrapperProject     = "UNUSED_GCPCKMS_1"
	EnvGcpCkmsWrapperLocation    = "UNUSED_GCPCKMS_2"
	EnvVaultGcpCkmsSealCryptoKey = "UNUSED_GCPCKMS_3"
	EnvGcpCkmsWrapperCryptoKey   = "UNUSED_GCPCKMS_4"
	EnvGcpCkmsWrapperKeyRing     = "UNUSED_GCPCKMS_5"
	EnvVaultGcpCkmsSealKeyRing   = "UNUSED_GCPCKMS_6"
)

type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("gcpckms auto-unseal is left out of this program")
}
