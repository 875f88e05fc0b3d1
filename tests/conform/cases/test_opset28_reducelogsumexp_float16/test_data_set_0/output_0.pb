
By0JCÅABDÛCÚA