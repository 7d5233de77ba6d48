// Package azurekeyvault stands in for the auto-unseal wrapper of that name, which this program never uses; it spares that cloud's SDK.
package azurekeyvault

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

const (
	EnvAzureKeyVaultWrapperKeyName   = "UNUSED_AZUREKEYVAULT_0"
	EnvVaultAzureKeyVaultKeyName     = "UNUSED_AZUREKEYVAULT_1"
	EnvAzureKeyVaultWrapperVaultName = "UNUSED_AZUREKEYVAULT_2"
	EnvVaultAzureKeyVaultVaultName   = "UNUSED_AZUREKEYVAULT_3"
)

type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("azurekeyvault auto-unseal is left out of this program")
}

func WithDisallowEnvVars(bool) wrapping.Option { return wrapping.WithDisallowEnvVars(true) }
